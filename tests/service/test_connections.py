"""Clients that are slow, silent or send too much: what becomes of them, and of all others."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from conftest import Server, wait_until

from service.schemas import EXAMPLE_ROW

Serve = Callable[..., Server]
REQUEST = {"instances": [EXAMPLE_ROW]}
HEAD = b"POST /predict HTTP/1.1\r\nhost: a\r\n"
BODY = json.dumps(REQUEST).encode()


@contextmanager
def connections(server: Server, number: int, content: bytes) -> Iterator[list[socket.socket]]:
    """So many connections, each with the same beginning of a request."""
    parts = urlsplit(server.url)
    with ExitStack() as stack:
        opened = []
        for _ in range(number):
            one = stack.enter_context(
                socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20)
            )
            one.sendall(content)
            opened.append(one)
        yield opened


def response(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and error of the response that ends the connection; (0, {}) if none came."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    head, _, body = received.partition(b"\r\n\r\n")
    if not head:
        return 0, {}
    return int(head.split()[1]), json.loads(body)["error"]


def ends(connection: socket.socket, pieces: Iterable[bytes]) -> bool:
    """Whether the server ends the connection before all pieces are sent."""
    try:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.001)
    except OSError:
        return True
    return False


def closed(server: Server, reason: str) -> float:
    """How many connections were closed for it."""
    text = httpx.get(f"{server.url}/metrics").text
    name = f'http_connections_closed_total{{reason="{reason}"}} '
    (line,) = [line for line in text.splitlines() if line.startswith(name)]
    return float(line.removeprefix(name))


def predicts(server: Server) -> bool:
    return httpx.post(f"{server.url}/predict", json=REQUEST, timeout=20).status_code == 200


def test_a_head_that_is_too_large_is_refused(serve: Serve) -> None:
    server = serve()
    with connections(server, 1, HEAD + b"x-large: " + b"x" * 40_000 + b"\r\n\r\n") as (one,):
        status, error = response(one)
    assert (status, error["code"]) == (431, "head_too_large")
    assert predicts(server)
    # As large as it may be.
    assert httpx.get(f"{server.url}/health", headers={"x-large": "x" * 30_000}).status_code == 200


def test_a_head_that_never_ends_is_refused_as_soon_as_it_is_too_large(serve: Serve) -> None:
    server = serve()
    with connections(server, 1, HEAD) as (one,):
        assert ends(one, (b"x-%d: %b\r\n" % (number, b"x" * 1000) for number in range(200)))
        assert response(one)[0] in (431, 0)
    assert closed(server, "head_too_large") == 1


def test_a_head_that_is_too_slow_is_given_up(serve: Serve) -> None:
    server = serve(head_timeout_seconds=0.3)
    with connections(server, 1, HEAD) as (one,):
        status, error = response(one)
    assert (status, error["code"]) == (408, "head_too_slow")
    # The same behind a good request.
    good = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
    with connections(server, 1, good + HEAD) as (one,):
        received = b""
        while piece := one.recv(65536):
            received += piece
    assert received.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in received


@pytest.mark.parametrize(
    "content", [b"", HEAD, HEAD + b"content-length: 100\r\n\r\n{"], ids=["silent", "head", "body"]
)
def test_clients_that_wait_keep_nobody_out(serve: Serve, content: bytes) -> None:
    server = serve(max_connections=16, max_in_flight=4)
    with httpx.Client(base_url=server.url) as kept:
        assert kept.post("/predict", json=REQUEST).status_code == 200
        with connections(server, 64, content):
            for _ in range(20):
                assert predicts(server)
            gauge = [
                line
                for line in httpx.get(f"{server.url}/metrics").text.splitlines()
                if line.startswith("http_requests_in_flight ")
            ]
            assert gauge == ["http_requests_in_flight 0.0"]
            assert closed(server, "too_many_connections") > 0
            # One that was kept for its next request is not among them.
            assert kept.post("/predict", json=REQUEST).status_code == 200


def test_half_sent_bodies_take_no_places(serve: Serve) -> None:
    server = serve(max_in_flight=4)
    with connections(server, 64, HEAD + b"content-length: 100\r\n\r\n{"):
        for _ in range(20):
            assert predicts(server)


def test_of_bodies_that_are_together_too_large_the_slowest_is_given_up(serve: Serve) -> None:
    server = serve(max_body_bytes=2000, max_reading_bytes=3000)
    head = HEAD + b"content-length: 1900\r\n\r\n"
    with connections(server, 1, head + b" " * 10) as (slow,):
        time.sleep(0.2)
        with connections(server, 2, head + b" " * 1500):
            status, error = response(slow)
    assert (status, error["code"]) == (408, "body_too_slow")
    assert "slow" in error["message"]


def test_what_is_sent_behind_a_body_or_beside_it_is_bounded(serve: Serve) -> None:
    server = serve()
    head = HEAD + b"transfer-encoding: chunked\r\n\r\n"
    endless = {
        "trailers": (b"1\r\nx\r\n0\r\n", b"x-more: " + b"x" * 1000 + b"\r\n"),
        "one trailer": (b"1\r\nx\r\n0\r\nx-more: ", b"x" * 1000),
        "extension": (b"1;", b"x" * 1000),
    }
    for begin, more in endless.values():
        with connections(server, 1, head + begin) as (one,):
            assert ends(one, [more] * 1000)
    assert closed(server, "body_too_large") == len(endless)
    # Small chunks are a body as good as any.
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"
    with connections(server, 1, head) as (one,):
        for place in range(0, len(body), 100):
            one.sendall(body[place : place + 100])
        assert one.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_client_that_does_not_read_is_given_up(serve: Serve) -> None:
    server = serve(write_timeout_seconds=0.3, max_batch=4096)
    rows = json.dumps({"instances": [[1] * len(EXAMPLE_ROW)] * 4096}, separators=(",", ":"))
    request = HEAD + b"content-length: %d\r\n\r\n" % len(rows) + rows.encode()
    parts = urlsplit(server.url)
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect((parts.hostname, parts.port))
        one.settimeout(0.2)

        def ask() -> bool:
            # It is not read either while the response to the one before does not get through.
            with suppress(OSError):
                one.sendall(request)
            return closed(server, "response_not_read") == 1

        wait_until(ask, "it is given up", server.log)
    assert predicts(server)


def test_a_compressed_body_is_refused(serve: Serve) -> None:
    server = serve()
    for path in ("/predict", "/invocations", "/v2/models/digits/infer", "/v1/chat/completions"):
        found = httpx.post(server.url + path, content=b"x", headers={"content-encoding": "gzip"})
        assert found.status_code == 415, path
        assert "compressed" in found.text


def test_the_kernel_keeps_little_for_a_client_that_does_not_read(serve: Serve) -> None:
    server = serve()
    asked = b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n"
    size = len(httpx.get(f"{server.url}/openapi.json").content)
    parts = urlsplit(server.url)

    def answered() -> int:
        return sum(line.get("path") == "/openapi.json" for line in server.log_lines())

    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect((parts.hostname, parts.port))
        one.sendall(asked * 200)
        wait_until(lambda: answered() > 1, "it answers", server.log)
        # More than it takes to answer all of them.
        time.sleep(2)
        # What Linux is asked for it doubles.
        assert answered() * size < 4 * 262_144 + 2 * size
