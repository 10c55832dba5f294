"""Clients of libraries reach loopback past every proxy that an environment may name."""

from __future__ import annotations

import urllib.request
from http.server import BaseHTTPRequestHandler

import pytest
import requests
from loopback import Loopback

from kindling import web
from kindling.registry_access import RegistryAccess

PROXY = "http://127.0.0.1:9"


class Server(Loopback):
    """Answers every GET."""

    class handler(BaseHTTPRequestHandler):  # noqa: N801
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""


@pytest.mark.parametrize("proxy", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "excepted",
    [
        {},
        {"no_proxy": "intern.example"},
        {"NO_PROXY": "intern.example"},
        {"no_proxy": "intern.example", "NO_PROXY": "127.0.0.1"},
        {"no_proxy": "", "NO_PROXY": "intern.example"},
        {"no_proxy": "*"},
    ],
)
def test_registry_on_loopback_is_asked_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch, proxy: str, excepted: dict[str, str]
) -> None:
    for name in ("http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in {proxy: PROXY, **excepted}.items():
        monkeypatch.setenv(name, value)
    with Server() as server:
        for name, value in RegistryAccess(server.url, "admin", "secret").variables.items():
            monkeypatch.setenv(name, value)
        # As MLflow's client does, and as ours do.
        assert requests.get(server.url, timeout=5).status_code == 200
        with urllib.request.urlopen(server.url, timeout=5) as response:
            assert response.status == 200


def test_hosts_that_need_no_proxy_stay_known() -> None:
    found = web.loopback_variables({"no_proxy": "intern.example"})
    assert found == dict.fromkeys(("no_proxy", "NO_PROXY"), "intern.example,127.0.0.1,localhost")
    assert web.loopback_variables({"NO_PROXY": "*"})["no_proxy"] == "*"
