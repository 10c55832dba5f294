"""The real server in a process of its own: limits on the wire, SIGTERM."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
from conftest import ROOT, Server, wait_until

from service.schemas import EXAMPLE_ROW

Serve = Callable[..., Server]
REQUEST = {"instances": [EXAMPLE_ROW]}


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(serve: Serve) -> None:
    server = serve(max_body_bytes=10_000)
    connection = begin(server, "Transfer-Encoding", "chunked")
    connection.send(b"%x\r\n%b\r\n" % (10_001, b" " * 10_001))
    assert connection.getresponse().status == 413
    connection.close()
    assert httpx.post(f"{server.url}/predict", json=REQUEST).status_code == 200


def test_a_body_that_trickles_in_is_given_up_and_holds_no_place(serve: Serve) -> None:
    server = serve(body_seconds=0.3, max_in_flight=1)
    connection = begin(server, "Content-Length", "1000")
    for _ in range(999):
        if select.select([connection.sock], [], [], 0.05)[0]:
            break
        connection.send(b" ")
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)["error"]["code"]) == (408, "body_too_slow")
    assert answer.headers["connection"] == "close"
    connection.close()
    assert httpx.post(f"{server.url}/predict", json=REQUEST).status_code == 200


def test_an_announced_length_over_the_limit_is_refused_before_the_body_is_sent(
    serve: Serve,
) -> None:
    connection = begin(serve(), "Content-Length", str(10**12))
    assert connection.getresponse().status == 413
    connection.close()


def test_after_sigterm_it_says_not_ready_serves_on_and_ends_well(serve: Serve) -> None:
    server = serve(drain_seconds=60)
    with httpx.Client(base_url=server.url) as client:
        assert "connection" not in client.post("/predict", json=REQUEST).headers
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: client.get("/ready").status_code == 503, "it drains", server.log)
        # Several looks of the server at its clock.
        time.sleep(0.5)
        assert client.get("/ready").json()["reason"] == "shutting down"
        assert client.get("/health").status_code == 200
        answer = client.post("/predict", json=REQUEST)
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0


def test_a_request_under_way_at_the_end_of_the_drain_is_finished(serve: Serve) -> None:
    server = serve(drain_seconds=0, body_seconds=60)
    body = json.dumps(REQUEST).encode()
    connection = begin(server, "Content-Length", str(len(body)), Expect="100-continue")
    # It says so once it waits for the body.
    assert connection.sock.recv(100).startswith(b"HTTP/1.1 100 ")
    connection.send(body[:100])
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
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0


def test_loading_a_model_leaves_no_trace_on_disk(tmp_path: Path, package_dir: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "CI"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    code = (
        "import pathlib; from service import loader;"
        f"folder = pathlib.Path({str(package_dir)!r});"
        "descriptor = loader.read_descriptor(folder, 'digits');"
        "loader.open_runner(folder, descriptor, intra_op_threads=1)"
    )
    subprocess.run([sys.executable, "-B", "-c", code], cwd=ROOT, env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


def begin(server: Server, header: str, value: str, **more: str) -> http.client.HTTPConnection:
    """A connection on which the head of a prediction request was sent, with these headers."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    connection.putrequest("POST", "/predict")
    for name, text in {header: value, **more}.items():
        connection.putheader(name, text)
    connection.endheaders()
    return connection
