"""A second port for /metrics and /sketches, which clients of the service do not reach then."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2 as httpx
import pytest
from conftest import ROOT, Server

from service.errors import SettingsInvalidError
from service.schemas import EXAMPLE_ROW
from service.settings import load_settings

Serve = Callable[..., Server]
OBSERVED = ("/metrics", "/sketches")


@pytest.fixture
def port() -> int:
    """A free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        found: int = free.getsockname()[1]
    return found


def test_it_alone_has_what_observes_the_service(serve: Serve, port: int) -> None:
    server = serve(metrics_port=port)
    beside = f"http://127.0.0.1:{port}"
    predicted = httpx.post(f"{server.url}/predict", json={"instances": [EXAMPLE_ROW]})
    assert predicted.status_code == 200
    for path in OBSERVED:
        assert httpx.get(server.url + path).status_code == 404
        assert httpx.get(beside + path).status_code == 200
    text = httpx.get(f"{beside}/metrics").text
    assert 'llm_requests_total{model="digits",status="200",version="3"} 1.0' in text
    described = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    assert not described.keys() & set(OBSERVED)
    for path in ("/predict", "/feedback", "/ready", "/docs", "/openapi.json", "/"):
        assert httpx.get(beside + path).status_code == 404
    answer = httpx.get(f"{beside}/predict").json()
    assert answer["error"]["code"] == "not_found"


def test_without_it_they_are_where_the_service_listens(serve: Serve) -> None:
    server = serve()
    assert {httpx.get(server.url + path).status_code for path in OBSERVED} == {200}


def test_it_is_there_as_long_as_the_service_drains_and_both_end_well(
    serve: Serve, port: int
) -> None:
    server = serve(metrics_port=port, drain_seconds=60)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as scraper:
        server.process.send_signal(signal.SIGTERM)
        assert scraper.get("/metrics").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0


def test_port_that_is_taken_ends_the_service_with_a_reason(tmp_path: Path) -> None:
    settings = {"CACHE_DIR": str(tmp_path), "LISTEN_HOST": "127.0.0.1", "LISTEN_PORT": "0"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings["METRICS_PORT"] = str(port := taken.getsockname()[1])
        environment = {f"KINDLING_SERVICE_{name}": value for name, value in settings.items()}
        done = subprocess.run(
            [sys.executable, "-m", "service"],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr == (
        f"KINDLING_SERVICE_METRICS_PORT: 127.0.0.1 port {port} cannot be listened on: Address"
        " already in use\n"
    )


def test_it_is_not_the_port_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDLING_SERVICE_METRICS_PORT", "8000")
    with pytest.raises(
        SettingsInvalidError, match=r"KINDLING_SERVICE_METRICS_PORT: .*another port"
    ):
        load_settings()
