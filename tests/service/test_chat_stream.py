"""The chat API through OpenAI's own client: streams."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from chat_server import Listening, Scripted, listening, trained_server
from conftest import wait_until
from openai import APIError, InternalServerError, OpenAI

PROMPT = "Parameters\n----------\n"
GOOD: dict[str, Any] = {"model": "text", "messages": [{"role": "user", "content": PROMPT}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    with trained_server(tmp_path_factory.mktemp("text")) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Listening) -> Iterator[OpenAI]:
    with server.client() as client:
        yield client


def chunks(client: OpenAI, **options: Any) -> list[Any]:
    """All chunks of a stream."""
    with client.chat.completions.create(**GOOD | options, stream=True) as stream:
        return list(stream)


def text(found: list[Any]) -> str:
    """The text of chunks with choices."""
    return "".join(chunk.choices[0].delta.content or "" for chunk in found)


def test_a_stream_has_a_role_pieces_of_text_and_a_reason(client: OpenAI) -> None:
    first, *pieces, last = chunks(client, max_tokens=8, seed=1)
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "")
    assert first.object == "chat.completion.chunk"
    assert first.id.startswith("chatcmpl-")
    same = ("id", "created", "model", "system_fingerprint", "object")
    assert first.system_fingerprint == "text-3"
    for chunk in (first, *pieces, last):
        assert [getattr(chunk, name) for name in same] == [getattr(first, name) for name in same]
        assert len(chunk.choices) == 1
        assert chunk.usage is None
        assert chunk.model_extra == {}
    assert len(pieces) > 1
    for piece in pieces:
        assert piece.choices[0].delta.content
        assert piece.choices[0].delta.role is None
        assert piece.choices[0].finish_reason is None
    assert last.choices[0].delta.content is None
    assert last.choices[0].finish_reason == "length"


def test_the_usage_comes_last_if_it_is_wanted(client: OpenAI) -> None:
    *others, last = chunks(client, seed=3, stream_options={"include_usage": True})
    assert last.choices == []
    assert {chunk.usage for chunk in others} == {None}
    whole = client.chat.completions.create(**GOOD, seed=3)
    assert last.usage == whole.usage
    assert others[-1].choices[0].finish_reason == whole.choices[0].finish_reason


@pytest.mark.parametrize("temperature", [0, 0.8, 2])
def test_a_stream_is_the_text_of_the_whole_answer(client: OpenAI, temperature: float) -> None:
    for seed in range(4):
        for stop in (None, "e", [" t", "er\n"]):
            options = {"seed": seed, "stop": stop, "temperature": temperature}
            whole = client.chat.completions.create(**GOOD, **options)
            found = chunks(client, **options)
            assert text(found) == whole.choices[0].message.content
            assert found[-1].choices[0].finish_reason == whole.choices[0].finish_reason


def test_on_the_wire_are_events_and_the_last_says_done(server: Listening) -> None:
    url = f"{server.url}/v1/chat/completions"
    answer = httpx.post(url, json=GOOD | {"stream": True, "max_tokens": 2})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert (answer.headers["x-model-name"], answer.headers["x-model-version"]) == ("text", "3")
    *events, end = answer.text.split("\n\n")
    assert end == ""
    assert events[-1] == "data: [DONE]"
    assert all(event.startswith("data: {") for event in events[:-1])
    assert '"usage"' not in answer.text


def pieces(scripted: Scripted, **options: Any) -> list[str]:
    """The pieces of text that a model's stream has."""
    with listening(scripted.served()) as server, server.client() as client:
        found = chunks(client, **options)
    return [chunk.choices[0].delta.content for chunk in found[1:-1]]


def test_no_piece_ends_within_a_character() -> None:
    assert pieces(Scripted("☃then"), max_tokens=8) == ["☃", "then"] * 2


def test_nothing_is_sent_that_may_be_part_of_a_stop_string() -> None:
    assert pieces(Scripted("then"), stop="nthenthe!", max_tokens=3) == ["the", "nthenthen"]
    assert pieces(Scripted("then"), stop="nthenthen") == ["the"]


def test_a_piece_is_sent_before_the_next_is_made() -> None:
    scripted = Scripted(may_step=threading.Semaphore(1))
    assert scripted.may_step is not None
    with (
        listening(scripted.served()) as server,
        server.client() as client,
        client.chat.completions.create(**GOOD, stream=True, max_tokens=3) as stream,
    ):
        assert next(stream).choices[0].delta.role == "assistant"
        for _ in range(3):
            assert next(stream).choices[0].delta.content == "then"
            scripted.may_step.release()
        assert next(stream).choices[0].finish_reason == "length"
        assert list(stream) == []
        server.wait_counted(200, 1)


def test_what_fails_before_the_first_token_is_no_stream() -> None:
    with (
        listening(Scripted(fails_at=0).served()) as server,
        server.client() as client,
        pytest.raises(InternalServerError) as error,
    ):
        chunks(client)
    assert (error.value.status_code, error.value.code) == (500, "prediction_failed")


@pytest.mark.parametrize(
    ("scripted", "code", "status"),
    [
        (Scripted(fails_at=3), "prediction_failed", 500),
        (Scripted(seconds=0.05), "timed_out", 504),
    ],
)
def test_what_fails_on_the_way_is_the_last_event(
    scripted: Scripted, code: str, status: int
) -> None:
    with listening(scripted.served(), request_seconds=0.4) as server, server.client() as client:
        with pytest.raises(APIError) as error:
            chunks(client)
        raw = httpx.post(f"{server.url}/v1/chat/completions", json=GOOD | {"stream": True})
        server.wait_counted(status, 2)
        tokens = server.value("llm_tokens_total", type="output")
    assert error.value.code == code
    assert "secret" not in str(error.value.body)
    assert raw.text.rstrip("\n").rpartition("\n")[2].startswith('data: {"error":{"message":')
    assert "[DONE]" not in raw.text
    # Of each of two texts a step may have been under way when time was up.
    assert scripted.steps - 2 <= (tokens or 0) <= scripted.steps


def begin(server: Listening, *, stream: bool) -> socket.socket:
    """A connection on which a request for the longest text was sent."""
    address = urlsplit(server.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=20)
    request = httpx.Request(
        "POST", server.url, json=GOOD | {"stream": stream, "max_tokens": 256, "temperature": 0}
    )
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(request.content)}"
    )
    connection.sendall(f"{head}\r\n\r\n".encode() + request.content)
    return connection


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_hangs_up_ends_the_text_and_frees_its_place(stream: bool) -> None:
    may_step = threading.Semaphore(5)
    scripted = Scripted(may_step=may_step)
    limits = {"max_in_flight": 1, "request_seconds": 100}
    with listening(scripted.served(), **limits) as server, server.client() as client:
        connection = begin(server, stream=stream)
        wait_until(lambda: scripted.steps == 5, "five tokens are made")
        with pytest.raises(InternalServerError) as error:
            chunks(client)
        assert error.value.code == "overloaded"
        connection.close()
        # The step under way still waits for its turn: nobody waits for it any more.
        wait_until(lambda: server.in_flight() == 0, "its place is free")
        may_step.release()
        server.wait_counted(499, 1)
        may_step.release(100)
        assert len(chunks(client, max_tokens=2)) == 4
    assert scripted.steps == 5 + 1 + 2
