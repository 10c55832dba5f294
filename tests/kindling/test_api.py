"""Reading from an API server: a real one of TLS, whose client has a certificate of its own."""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import certificates
import pytest
import yaml

from kindling.api import Api, ApiError
from kindling.errors import KindlingError


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: Any = self.server
        server.seen.append((self.client_address, self.path, self.headers["Accept"]))
        status, body = server.answers[self.path.partition("?")[0]]
        if server.busy:
            status, body = 503, server.busy.pop()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        # Without a word about it, as a server does whose idle connection has been open too long.
        self.close_connection = server.closes

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    for name in ("server", "client", "stranger"):
        certificates.write(tmp_path / name, "127.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server")
    tls.load_verify_locations(tmp_path / "client")
    tls.verify_mode = ssl.CERT_REQUIRED
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.socket = tls.wrap_socket(served.socket, server_side=True)
    for name, value in {"seen": [], "answers": {}, "busy": [], "closes": False}.items():
        setattr(served, name, value)
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


@pytest.fixture
def kubeconfig(tmp_path: Path, server: Any) -> Callable[..., Path]:
    def write(trusted: str = "server", user: str = "client") -> Path:
        authority, own = ((tmp_path / name).read_bytes() for name in (trusted, user))
        certificate, _, key = own.partition(b"-----BEGIN PRIVATE")
        cluster = {
            "server": f"https://127.0.0.1:{server.server_address[1]}",
            "certificate-authority-data": base64.b64encode(authority).decode(),
        }
        person = {
            "client-certificate-data": base64.b64encode(certificate).decode(),
            "client-key-data": base64.b64encode(b"-----BEGIN PRIVATE" + key).decode(),
        }
        file = tmp_path / "kubeconfig"
        file.write_text(
            yaml.safe_dump(
                {
                    "contexts": [{"name": "kind-test", "context": {"cluster": "c", "user": "u"}}],
                    "clusters": [{"name": "c", "cluster": cluster}],
                    "users": [{"name": "u", "user": person}],
                }
            )
        )
        return file

    return write


def listed(*names: str) -> tuple[int, bytes]:
    return 200, json.dumps({"items": [{"metadata": {"name": name}} for name in names]}).encode()


def test_questions_share_one_connection(server: Any, kubeconfig: Callable[..., Path]) -> None:
    api = Api.of(kubeconfig(), "kind-test")
    server.answers = {"/readyz": (200, b"ok"), "/api/v1/nodes": listed("a", "b")}
    assert api.read("/readyz") == b"ok"
    assert [one["metadata"]["name"] for one in api.items("/api/v1/nodes")] == ["a", "b"]
    assert api.metadata("/api/v1/nodes", labelSelector="x=y") == [{"name": "a"}, {"name": "b"}]
    assert len({client for client, _, _ in server.seen}) == 1
    assert server.seen[2][1] == "/api/v1/nodes?labelSelector=x%3Dy"
    assert "PartialObjectMetadataList" in server.seen[2][2]


def test_a_list_without_items_is_empty(server: Any, kubeconfig: Callable[..., Path]) -> None:
    """As Kubernetes 1.36 answers: of objects an empty list, of metadata alone null."""
    api = Api.of(kubeconfig(), "kind-test")
    server.answers = {
        "/api/v1/secrets": (200, b'{"kind": "SecretList", "items": []}'),
        "/api/v1/pods": (200, b'{"kind": "PartialObjectMetadataList", "items": null}'),
    }
    assert api.items("/api/v1/secrets") == []
    assert api.metadata("/api/v1/pods") == []


def test_a_connection_that_the_server_closed_is_made_again(
    server: Any, kubeconfig: Callable[..., Path]
) -> None:
    api = Api.of(kubeconfig(), "kind-test")
    server.answers, server.closes = {"/readyz": (200, b"ok")}, True
    assert [api.read("/readyz") for _ in range(3)] == [b"ok"] * 3


def test_a_refusal_has_the_servers_words_and_its_status(
    server: Any, kubeconfig: Callable[..., Path]
) -> None:
    api = Api.of(kubeconfig(), "kind-test")
    server.answers = {
        "/a": (404, b'{"kind": "Status", "message": "it is not here"}'),
        "/readyz": (500, b"[-]etcd failed"),
    }
    with pytest.raises(ApiError, match="says: it is not here") as refusal:
        api.get("/a")
    assert refusal.value.status == 404
    with pytest.raises(ApiError, match="etcd failed"):
        api.read("/readyz")


def test_a_patient_one_outlasts_a_server_that_is_busy_but_no_refusal(
    server: Any, kubeconfig: Callable[..., Path], pauses: list[float]
) -> None:
    server.answers = {"/api/v1/nodes": listed("a"), "/b": (403, b'{"message": "forbidden"}')}
    server.busy = [b'{"message": "etcdserver: leader changed"}', b"no connection: EOF"]
    api = Api.of(kubeconfig(), "kind-test", patient=True)
    assert api.metadata("/api/v1/nodes") == [{"name": "a"}]
    assert len(pauses) == 2
    with pytest.raises(ApiError, match="forbidden"):
        api.get("/b")
    assert len(pauses) == 2


def test_a_server_that_does_not_run_does_not_answer(
    server: Any, kubeconfig: Callable[..., Path]
) -> None:
    file = kubeconfig()
    port = server.server_address[1]
    file.write_text(file.read_text().replace(f":{port}", ":1"))
    with pytest.raises(ApiError, match=r"does not answer: .*refused") as silence:
        Api.of(file, "kind-test").read("/readyz")
    assert silence.value.status == 0


def test_a_server_with_a_strangers_certificate_is_not_talked_to(
    server: Any, kubeconfig: Callable[..., Path]
) -> None:
    with pytest.raises(ApiError, match="certificate verify failed"):
        Api.of(kubeconfig(trusted="stranger"), "kind-test").read("/readyz")
    assert server.seen == []


def test_a_client_with_a_strangers_certificate_is_refused(
    server: Any, kubeconfig: Callable[..., Path]
) -> None:
    with pytest.raises(ApiError, match="does not answer"):
        Api.of(kubeconfig(user="stranger"), "kind-test").read("/readyz")
    assert server.seen == []


def test_a_kubeconfig_without_the_context_is_named(kubeconfig: Callable[..., Path]) -> None:
    with pytest.raises(KindlingError, match=r"kubeconfig does not say how to reach kind-other"):
        Api.of(kubeconfig(), "kind-other")
