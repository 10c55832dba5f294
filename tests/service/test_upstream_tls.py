"""TLS to the upstream: who cannot prove its name gets no key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import certificates
import httpx2 as httpx
import pytest
from fake_upstream import GOOD, FakeUpstream, in_front_of

Certify = Callable[[str], str]


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
def certify(tmp_path: Path) -> Certify:
    """Makes files with a certificate that vouches for itself, and its key."""

    def make(address: str) -> str:
        file = tmp_path / "certificate.pem"
        certificates.write(file, address)
        return str(file)

    return make


def ask(upstream: FakeUpstream, scheme: str = "https") -> httpx.Response:
    url = f"{scheme}://127.0.0.1:{upstream.port}/v1"
    with in_front_of(upstream, upstream_url=url) as server:
        return httpx.post(f"{server.url}/v1/chat/completions", json=GOOD)


def test_an_upstream_whose_certificate_is_trusted_is_asked(
    upstream: FakeUpstream, certify: Certify, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = certify("127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    upstream.use_tls(certificate)
    assert ask(upstream).status_code == 200


def test_one_that_nobody_vouches_for_is_not(upstream: FakeUpstream, certify: Certify) -> None:
    upstream.use_tls(certify("127.0.0.1"))
    refused(ask(upstream), upstream)


def test_one_with_a_certificate_for_another_address_is_not(
    upstream: FakeUpstream, certify: Certify, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = certify("127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    upstream.use_tls(certificate)
    refused(ask(upstream), upstream)


def test_one_that_speaks_no_tls_is_not(upstream: FakeUpstream) -> None:
    refused(ask(upstream), upstream)


def refused(response: httpx.Response, upstream: FakeUpstream) -> None:
    reason = "its certificate is not trusted, or it does not speak TLS"
    assert response.status_code == 502
    assert response.json()["error"]["message"] == f"the upstream cannot be reached: {reason}"
    assert upstream.heads == []
