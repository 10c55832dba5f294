"""An upstream that refuses, fails, lies, is slow or away: what clients are told, and how soon."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from chat_server import Listening
from conftest import wait_until
from fake_upstream import (
    GOOD,
    MODEL,
    NAME,
    Act,
    FakeUpstream,
    answer,
    chunk,
    in_front_of,
    piece,
    stream,
)
from openai import APIError, InternalServerError, OpenAI

STREAMED = [pytest.param(False, id="whole"), pytest.param(True, id="streamed")]
# Enough for a machine that is busy with other tests.
LIMITS = {"upstream_seconds": 2, "request_seconds": 5}
JSON = {"Content_Type": "application/json"}
EVENTS = {"Content_Type": "text/event-stream"}


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(upstream: FakeUpstream) -> Iterator[Listening]:
    with in_front_of(upstream, **LIMITS) as server:
        yield server


@pytest.fixture(autouse=True)
def well_again(upstream: FakeUpstream) -> Iterator[None]:
    yield
    upstream.act = None
    upstream.hung_up.clear()


def post(server: Listening, *, streamed: bool = False) -> httpx.Response:
    """A good request."""
    body = GOOD | {"stream": streamed}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=20)


def told(response: httpx.Response) -> tuple[int, str, str]:
    """The status, the code and the message of a refusal."""
    error = response.json()["error"]
    return response.status_code, error["code"], error["message"]


def counted(server: Listening, status: int) -> float:
    """Requests with this status."""
    labels = {"model": NAME, "version": MODEL, "status": str(status)}
    return server.value("llm_requests_total", **labels) or 0


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize(
    ("status", "shown", "code", "message"),
    [
        (401, 503, "upstream_refuses_key", "the upstream refuses the key"),
        (403, 503, "upstream_refuses_key", "the upstream refuses the key"),
        (429, 503, "upstream_busy", "the upstream takes no more requests now"),
        (400, 400, "invalid_request", "the upstream does not take this request: it answered 400"),
        (413, 400, "invalid_request", "the upstream does not take this request: it answered 413"),
        (422, 400, "invalid_request", "the upstream does not take this request: it answered 422"),
        (404, 502, "upstream_failed", "the upstream answered 404, so its address or its model's"
                                      " name is not what it should be"),
        (500, 502, "upstream_failed", "the upstream answered 500"),
        (503, 502, "upstream_failed", "the upstream answered 503"),
        (204, 502, "upstream_failed", "the upstream answered 204"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_without_a_word_of_the_upstreams(
    upstream: FakeUpstream, server: Listening, streamed: bool, status: int, shown: int, code: str,
    message: str,
) -> None:  # fmt: skip
    before = counted(server, shown)
    upstream.act = answer(status, b'{"error": {"message": "their words"}}', **JSON)
    assert told(post(server, streamed=streamed)) == (shown, code, message)
    wait_until(lambda: counted(server, shown) == before + 1, f"it is counted as {shown}")


@pytest.mark.parametrize(
    ("sent", "passed"),
    [("7", "7"), ("0", "0"), ("3600", "3600"), ("3601", None), ("-1", None), ("1.5", None),
     ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("9" * 40, None)],
)  # fmt: skip
def test_a_sane_time_to_wait_is_passed_on(
    upstream: FakeUpstream, server: Listening, sent: str, passed: str | None
) -> None:
    upstream.act = answer(429, Retry_After=sent)
    assert post(server).headers.get("retry-after") == passed


@pytest.mark.parametrize("streamed", STREAMED)
def test_a_redirect_is_not_followed(
    upstream: FakeUpstream, server: Listening, streamed: bool
) -> None:
    asked = len(upstream.asked)
    upstream.act = answer(307, Location=f"{upstream.url}/v1/chat/completions")
    message = "the upstream answered 307, but redirects are not followed"
    assert told(post(server, streamed=streamed)) == (502, "upstream_failed", message)
    assert len(upstream.asked) == asked + 1


def raw(content: bytes) -> Act:
    """These bytes, and the end."""
    return lambda handler: void(handler.wfile.write(content))


def void(_: object) -> None:
    """Nothing, of something."""


def nothing_more(handler: BaseHTTPRequestHandler) -> None:
    """Keep the connection open, and silent."""
    handler.connection.recv(1)


NO_TEXT = "the upstream answered with something else than a text"
HUNG_UP = "the upstream hung up in the middle of an answer"
NO_HTTP = "the upstream does not speak HTTP as it should"


@pytest.mark.parametrize(
    ("act", "message"),
    [
        pytest.param(raw(b""), HUNG_UP, id="nothing"),
        pytest.param(raw(b"HTTP/1.1 2"), HUNG_UP, id="half a head"),
        pytest.param(raw(b"\x16\x03\x01\x00\xff" * 50), NO_HTTP, id="no HTTP"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 9999), NO_HTTP, id="endless head"),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), HUNG_UP, id="half a body"
        ),
        pytest.param(answer(200, b"", **JSON), NO_TEXT, id="empty"),
        pytest.param(answer(200, b"<html>", **JSON), NO_TEXT, id="no JSON"),
        pytest.param(answer(200, b"[]", **JSON), NO_TEXT, id="no object"),
        pytest.param(answer(200, b'{"error": {"message": "x"}}', **JSON), NO_TEXT, id="an error"),
        pytest.param(
            answer(200, rb'{"choices": [{"message": {"content": "\ud800"}}]}', **JSON),
            NO_TEXT,
            id="half a character",
        ),
        pytest.param(
            answer(200, b'{"choices": []}', **JSON), "the upstream answered without a text",
            id="no choice",
        ),
        pytest.param(
            answer(200, b"x", Content_Encoding="gzip", **JSON),
            "the upstream answered in an encoding not asked for",
            id="compressed",
        ),
        pytest.param(
            answer(200, b" " * 1_048_577, **JSON),
            "the upstream answered with more than 1048576 bytes",
            id="huge",
        ),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_told_as_that(
    upstream: FakeUpstream, server: Listening, act: Act, message: str
) -> None:
    upstream.act = act
    assert told(post(server)) == (502, "upstream_failed", message)
    upstream.act = None
    assert post(server).status_code == 200


@pytest.mark.parametrize(
    ("act", "message"),
    [
        pytest.param(
            answer(200, b'{"choices": []}', **JSON),
            "the upstream answered with something else than a stream",
            id="no stream",
        ),
        pytest.param(
            stream("[DONE]"), "the upstream sent a stream without a text", id="nothing said"
        ),
        pytest.param(stream("{"), NO_TEXT, id="no JSON"),
        pytest.param(stream(), HUNG_UP, id="no event"),
        pytest.param(
            stream({"error": {"message": "theirs"}}),
            "the upstream failed in the middle of an answer",
            id="an error",
        ),
        pytest.param(
            stream("x" * 262_145), "the upstream sent a part that is too large", id="huge event"
        ),
        pytest.param(
            answer(200, b"data: " + b"x" * 300_000, **EVENTS),
            "the upstream sent a part that is too large",
            id="huge line",
        ),
    ],
)
def test_what_fails_before_the_first_piece_is_no_stream(
    upstream: FakeUpstream, server: Listening, act: Act, message: str
) -> None:
    upstream.act = act
    assert told(post(server, streamed=True)) == (502, "upstream_failed", message)


FIRST = chunk({"content": "one"})


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Events that are small, without end."""
    event = f"data: {json.dumps(chunk({'content': 'x' * 60_000}))}\n\n".encode()
    while True:
        piece(handler, event)


@pytest.mark.parametrize(
    ("act", "status", "message"),
    [
        pytest.param(stream(FIRST), 502, HUNG_UP, id="an end too early"),
        pytest.param(stream(FIRST, then=lambda _: None), 502, HUNG_UP, id="hung up"),
        pytest.param(stream(FIRST, "{"), 502, NO_TEXT, id="no JSON"),
        pytest.param(
            stream(FIRST, {"error": "theirs"}),
            502,
            "the upstream failed in the middle of an answer",
            id="an error",
        ),
        pytest.param(
            stream(FIRST, {"object": "error", "message": "theirs"}, "[DONE]"), 502,
            "the upstream ended an answer without a reason", id="no reason",
        ),
        pytest.param(
            stream(FIRST, chunk({"content": ""}, "error"), "[DONE]"), 502,
            "the upstream failed in the middle of an answer", id="a reason that is an error",
        ),
        pytest.param(
            stream(FIRST, then=raw(b"zz\r\n")), 502, NO_HTTP, id="no HTTP"
        ),
        pytest.param(
            stream(FIRST, then=nothing_more),
            504,
            "the upstream sent nothing more within 2 seconds",
            id="silence",
        ),
    ],
)  # fmt: skip
def test_a_stream_that_breaks_ends_with_an_event_that_tells_why(
    upstream: FakeUpstream, server: Listening, act: Act, status: int, message: str
) -> None:
    before = counted(server, status)
    upstream.act = act
    response = post(server, streamed=True)
    assert response.status_code == 200
    *_, text, last = response.text.strip().split("\n\n")
    assert '"content":"one"' in text
    error = json.loads(last.removeprefix("data: "))["error"]
    assert (error["message"], "[DONE]" in response.text) == (message, False)
    wait_until(lambda: counted(server, status) == before + 1, f"it is counted as {status}")
    with server.client() as client, pytest.raises(APIError) as raised:
        read(client)
    assert raised.value.code == ("upstream_failed" if status == 502 else "timed_out")


def read(client: OpenAI) -> None:
    """Read all of a stream."""
    with client.chat.completions.create(**GOOD, stream=True) as found:
        list(found)


def test_an_endless_stream_is_cut_at_a_bound(upstream: FakeUpstream) -> None:
    upstream.act = stream(FIRST, then=endless)
    with in_front_of(upstream, request_seconds=60) as server:
        response = post(server, streamed=True)
    assert "the upstream answered with more than 16777216 bytes" in response.text[-300:]


@pytest.mark.parametrize("streamed", STREAMED)
def test_a_silent_upstream_is_given_up(
    upstream: FakeUpstream, server: Listening, streamed: bool
) -> None:
    upstream.act = upstream.wait_for_hang_up
    began = time.monotonic()
    message = "the upstream sent nothing more within 2 seconds"
    assert told(post(server, streamed=streamed)) == (504, "timed_out", message)
    assert time.monotonic() - began >= 2
    assert upstream.hung_up.wait(5)


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Something now and then: never silent, never done."""
    for _ in range(100):
        piece(handler, b": still there\n\n")
        time.sleep(0.1)


def test_an_upstream_that_never_comes_to_an_end_is_given_up_in_time(
    upstream: FakeUpstream, server: Listening
) -> None:
    upstream.act = stream(then=drip)
    began = time.monotonic()
    message = "the upstream's answer was not complete in time"
    assert told(post(server, streamed=True)) == (504, "timed_out", message)
    assert time.monotonic() - began >= 4.9


def test_an_upstream_that_is_not_there_is_told_without_its_address(upstream: FakeUpstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    with in_front_of(upstream, upstream_url=url) as server:
        response = post(server)
    message = "the upstream cannot be reached: Connection refused"
    assert told(response) == (502, "upstream_failed", message)


def test_a_name_that_nobody_knows_is_told_without_it(upstream: FakeUpstream) -> None:
    for host in ("nobody.invalid", f"{'a' * 64}.invalid"):
        with in_front_of(upstream, upstream_url=f"https://{host}") as server:
            response = post(server)
        # One whose resolver says nothing is a timeout.
        message = "the upstream cannot be reached: its name is not known"
        assert response.status_code == 504 or told(response)[2] == message


def test_names_that_take_long_to_find_hold_up_nothing_else(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, look_up = threading.Event(), socket.getaddrinfo

    def slow(host: Any, *words: Any, **options: Any) -> Any:
        if host == "slow.example":
            assert go_on.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "slow.example")
        return look_up(host, *words, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    limits = {"upstream_url": "http://slow.example", "upstream_seconds": 0.2}
    try:
        with in_front_of(upstream, **limits) as server:
            message = "the upstream could not be reached within 0.2 seconds"
            with ThreadPoolExecutor(40) as clients:
                for response in clients.map(lambda _: post(server), range(40)):
                    assert told(response) == (504, "timed_out", message)
            assert httpx.get(f"{server.url}/metrics", timeout=5).status_code == 200
    finally:
        go_on.set()


def begin(server: Listening, *, streamed: bool) -> socket.socket:
    """A connection on which a request was sent."""
    address = urlsplit(server.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=20)
    body = json.dumps(GOOD | {"stream": streamed}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
    connection.sendall(f"{head}\r\n\r\n".encode() + body)
    return connection


@pytest.mark.parametrize(
    ("streamed", "begun"),
    [(False, False), (True, False), (True, True)],
    ids=["whole", "before a stream", "in a stream"],
)
def test_the_upstream_is_hung_up_on_when_the_client_hangs_up(
    upstream: FakeUpstream, streamed: bool, begun: bool
) -> None:
    came = threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        came.set()
        upstream.wait_for_hang_up(handler)

    upstream.act = stream(FIRST, then=wait) if begun else wait
    limits = {"max_in_flight": 1, "request_seconds": 100, "upstream_seconds": 100}
    with in_front_of(upstream, **limits) as server:
        connection = begin(server, streamed=streamed)
        assert came.wait(10)
        if begun:
            connection.recv(1)
        with server.client() as client, pytest.raises(InternalServerError) as error:
            client.chat.completions.create(**GOOD)
        assert error.value.code == "overloaded"
        assert not upstream.hung_up.is_set()
        connection.close()
        assert upstream.hung_up.wait(10)
        wait_until(lambda: server.in_flight() == 0, "its place is free")
        wait_until(lambda: counted(server, 499) == 1, "it is counted as 499")
        upstream.act = None
        assert post(server).status_code == 200


@pytest.mark.parametrize("streamed", STREAMED)
def test_no_connection_outlives_its_request(
    upstream: FakeUpstream, server: Listening, streamed: bool
) -> None:
    closed = threading.Event()
    write = stream(*upstream.events({"stream_options": {"include_usage": True}}))
    whole = answer(200, json.dumps(upstream.completion()).encode(), **JSON)

    def act(handler: BaseHTTPRequestHandler) -> None:
        (write if streamed else whole)(handler)
        if handler.connection.recv(1) == b"":
            closed.set()

    upstream.act = act
    assert post(server, streamed=streamed).status_code == 200
    assert closed.wait(5)


def test_a_body_too_large_or_too_slow_and_too_many_requests_never_reach_it(
    upstream: FakeUpstream,
) -> None:
    asked = len(upstream.asked)
    with in_front_of(upstream, max_body_bytes=2000, body_seconds=0.2) as server:
        large: dict[str, Any] = GOOD | {"user": "x" * 2000}
        response = httpx.post(f"{server.url}/v1/chat/completions", json=large)
        assert told(response)[:2] == (413, "body_too_large")
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port), timeout=20) as slow:
            slow.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
            )
            assert slow.recv(99).startswith(b"HTTP/1.1 408 ")
    assert len(upstream.asked) == asked
