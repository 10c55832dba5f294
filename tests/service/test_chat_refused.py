"""What the chat API refuses, and what OpenAI's own client makes of that."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest
from chat_server import Listening, Scripted, listening
from conftest import wait_until
from openai import APIStatusError, BadRequestError, InternalServerError, OpenAI

MESSAGE = {"role": "user", "content": "a"}
GOOD: dict[str, Any] = {"model": "text", "messages": [MESSAGE], "max_tokens": 2}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


@pytest.fixture(scope="module")
def server() -> Iterator[Listening]:
    with listening(Scripted().served()) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Listening) -> Iterator[OpenAI]:
    with server.client() as client:
        yield client


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("n", 0),
        ("n", True),
        ("logprobs", True),
        ("logprobs", 0),
        ("top_logprobs", 1),
        ("frequency_penalty", 0.1),
        ("presence_penalty", -0.1),
        ("logit_bias", {"5": 1}),
        ("response_format", {"type": "json_object"}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}),
        ("modalities", ["text", "audio"]),
        ("tools", [TOOL]),
        ("tool_choice", "required"),
        ("functions", [{"name": "f"}]),
        ("function_call", {"name": "f"}),
        ("audio", {"voice": "alloy", "format": "mp3"}),
        ("moderation", {"model": "m"}),
        ("web_search_options", {}),
        ("reasoning_effort", "high"),
        ("verbosity", "low"),
        ("service_tier", "priority"),
    ],
)
def test_what_would_change_the_answer_elsewhere_is_refused_by_name(
    client: OpenAI, field: str, value: Any
) -> None:
    with pytest.raises(BadRequestError) as error:
        client.chat.completions.create(**GOOD, extra_body={field: value})
    assert error.value.body == {
        "message": "the service does not offer this: leave the field out",
        "type": "invalid_request_error",
        "param": field,
        "code": "invalid_request",
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1, "logprobs": False, "top_logprobs": 0},
        {"n": 1.0, "max_tokens": 2.0, "seed": 3.0},
        {"frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}},
        {"response_format": {"type": "text"}, "modalities": ["text"]},
        {"tools": [], "tool_choice": "none", "functions": [], "function_call": "auto"},
        {"reasoning_effort": "none", "verbosity": "medium", "service_tier": "auto"},
        {"user": "u", "safety_identifier": "s", "metadata": {"a": "b"}, "store": True},
        {"parallel_tool_calls": True, "prediction": {"type": "content", "content": "x"}},
        {"prompt_cache_key": "k", "prompt_cache_options": {}, "prompt_cache_retention": "24h"},
        {"stream": False, "stream_options": {"include_usage": True}, "stop": []},
        dict.fromkeys(("n", "tools", "audio", "stop", "seed", "temperature", "stream", "user")),
    ],
)
def test_what_changes_nothing_is_taken(client: OpenAI, fields: dict[str, Any]) -> None:
    answer = client.chat.completions.create(**GOOD, extra_body=fields)
    assert answer.choices[0].message.content == "then" * 2


def said(**changes: Any) -> dict[str, Any]:
    """A good request with its message changed."""
    return {"messages": [MESSAGE | changes]}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [MESSAGE] * 65}, "messages"),
        ({"messages": "a"}, "messages"),
        (said(role="robot"), "messages[0].role"),
        (said(content=None), "messages[0].content"),
        (said(content=[]), "messages[0].content"),
        (said(content=[{"type": "image_url", "image_url": {}}]), "messages[0].content[0].type"),
        (said(content=[{"type": "text"}]), "messages[0].content[0].text"),
        (said(role="assistant", tool_calls=[TOOL]), "messages[0].tool_calls"),
        (said(role="assistant", audio={"id": "a"}), "messages[0].audio"),
        (said(other=1), "messages[0].other"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 257}, "max_tokens"),
        ({"max_completion_tokens": 257}, "max_completion_tokens"),
        ({"max_tokens": 2.5}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"seed": 1.5}, "seed"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": ""}, "stop[0]"),
        ({"stop": ["a", ""]}, "stop[1]"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"other": True}}, "stream_options.other"),
        ({"other": 1}, "other"),
    ],
)
def test_a_bad_field_is_named_and_not_repeated(
    server: Listening, changes: dict[str, Any], field: str
) -> None:
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=GOOD | changes)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("invalid_request", field)
    assert "robot" not in answer.text
    # It is the model's request all the same.
    assert answer.headers.get("x-model-name") == (None if field == "model" else "text")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", rb'{"model": "\ud800"}', b"\xff"])
def test_a_body_that_is_no_request_is_refused(server: Listening, body: bytes) -> None:
    answer = httpx.post(f"{server.url}/v1/chat/completions", content=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "body")


def test_a_body_has_the_limit_of_all_bodies() -> None:
    with listening(Scripted().served(), max_body_bytes=2000) as server, server.client() as client:
        client.chat.completions.create(**GOOD | said(content="a" * 1800))
        with pytest.raises(APIStatusError) as error:
            client.chat.completions.create(**GOOD | said(content="a" * 2000))
    assert (error.value.status_code, error.value.code) == (413, "body_too_large")


def test_a_model_that_fails_tells_no_internals() -> None:
    scripted = Scripted(fails_at=1)
    with listening(scripted.served()) as server, server.client() as client:
        with pytest.raises(InternalServerError) as error:
            client.chat.completions.create(**GOOD)
        server.wait_counted(500, 1)
    assert (error.value.status_code, error.value.code) == (500, "prediction_failed")
    assert "secret" not in str(error.value.body)


def test_a_text_that_takes_too_long_is_given_up() -> None:
    scripted = Scripted(seconds=0.05)
    # Long enough for a few steps where other tests take the processors.
    with listening(scripted.served(), request_seconds=2) as server, server.client() as client:
        assert client.chat.completions.create(**GOOD).choices
        with pytest.raises(InternalServerError) as error:
            client.chat.completions.create(**GOOD | {"max_tokens": 200})
    assert (error.value.status_code, error.value.code) == (504, "timed_out")
    assert scripted.steps < 100


def test_too_many_requests_are_turned_away_and_openais_client_tries_again() -> None:
    scripted = Scripted(may_step=threading.Semaphore(0))
    with listening(scripted.served(), max_in_flight=1) as server, server.client() as client:
        answers: list[Any] = []
        first = threading.Thread(
            target=lambda: answers.append(client.chat.completions.create(**GOOD))
        )
        first.start()
        try:
            wait_until(lambda: server.in_flight() == 1, "the first request is in flight")
            with pytest.raises(InternalServerError) as error:
                client.chat.completions.create(**GOOD)
            assert (error.value.status_code, error.value.code) == (503, "overloaded")
            assert error.value.response.headers["retry-after"] == "1"
            assert scripted.may_step is not None
            threading.Timer(0.3, scripted.may_step.release, (100,)).start()
            with server.client(max_retries=3) as patient:
                assert patient.chat.completions.create(**GOOD).choices
        finally:
            scripted.may_step.release(100)
            first.join(20)
    assert len(answers) == 1
