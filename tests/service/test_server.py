"""The real server in a process of its own: limits on the wire, logs, SIGTERM."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
from conftest import ROOT, Server, wait_until

from service.schemas import EXAMPLE_ROW

Serve = Callable[..., Server]
REQUEST = {"instances": [EXAMPLE_ROW]}


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(serve: Serve) -> None:
    server = serve(max_body_bytes=10_000)
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(50):
            sent += 1000
            yield b" " * 1000

    answer = httpx.post(f"{server.url}/predict", content=chunks())
    assert sent > 10_000
    assert answer.status_code == 413
    assert httpx.post(f"{server.url}/predict", json=REQUEST).status_code == 200


def test_an_announced_length_over_the_limit_is_refused_before_the_body_is_sent(
    serve: Serve,
) -> None:
    server = serve()
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=5)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_log_lines_are_json_without_what_was_sent(serve: Serve) -> None:
    server = serve()
    httpx.post(f"{server.url}/predict?token=in-query", json={"instances": "in-body"})
    wait_until(lambda: "/predict" in server.log.read_text(), "the request is logged", server.log)
    lines = [line for line in server.log_lines() if line.get("path") == "/predict"]
    assert len(lines) == 1
    assert lines[0]["status"] == 422
    assert lines[0]["duration_ms"] > 0
    assert "in-query" not in server.log.read_text()
    assert "in-body" not in server.log.read_text()


def test_after_sigterm_it_says_not_ready_serves_on_and_ends_well(serve: Serve) -> None:
    server = serve(drain_seconds=1.5)
    with httpx.Client(base_url=server.url) as client:
        assert "connection" not in client.post("/predict", json=REQUEST).headers
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: client.get("/ready").status_code == 503, "it drains", server.log)
        time.sleep(0.7)
        assert client.get("/ready").json()["reason"] == "shutting down"
        assert client.get("/health").status_code == 200
        answer = client.post("/predict", json=REQUEST)
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"
    assert server.process.wait(10) == 0


def test_a_request_under_way_at_the_end_of_the_drain_is_finished(serve: Serve) -> None:
    server = serve(drain_seconds=0)
    body = json.dumps(REQUEST).encode()
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    connection.send(body[:100])
    wait_until(lambda: in_flight(server) == 1, "the request is in flight", server.log)
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "Waiting for connections" in server.log.read_text(), "it stops", server.log)
    connection.send(body[100:])
    assert connection.getresponse().status == 200
    connection.close()
    assert server.process.wait(10) == 0


def test_a_second_sigterm_cuts_the_drain_short(serve: Serve) -> None:
    server = serve(drain_seconds=60)
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: httpx.get(f"{server.url}/ready").status_code == 503, "it drains", server.log)
    started = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    assert time.monotonic() - started < 5


def test_loading_a_model_leaves_no_trace_on_disk(tmp_path: Path, model_dir: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "CI"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    code = (
        "import pathlib; from service.model import OnnxModel;"
        f"OnnxModel(pathlib.Path({str(model_dir)!r}), name='digits').load()"
    )
    subprocess.run([sys.executable, "-B", "-c", code], cwd=ROOT, env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


def in_flight(server: Server) -> float:
    """The server's gauge of requests in flight."""
    text = httpx.get(f"{server.url}/metrics").text
    (line,) = [line for line in text.splitlines() if line.startswith("http_requests_in_flight ")]
    return float(line.split()[1])
