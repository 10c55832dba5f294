"""An upstream in the place of the local text generators, through OpenAI's own client."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import pytest
from chat_server import Listening, Scripted, listening
from conftest import Server, wait_until
from fake_upstream import (
    GOOD,
    KEY,
    MESSAGE,
    MODEL,
    NAME,
    USAGE,
    FakeUpstream,
    chunk,
    in_front_of,
    settings_for,
    stream,
)
from openai import BadRequestError, NotFoundError, OpenAI

from service.metrics import STATUSES
from service.schemas import EXAMPLE_ROW

TEXT = "Once upon a ☃"
TOOL_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
def server(upstream: FakeUpstream) -> Iterator[Listening]:
    with in_front_of(upstream) as server:
        yield server


@pytest.fixture
def client(server: Listening) -> Iterator[OpenAI]:
    with server.client() as client:
        yield client


def chunks(client: OpenAI, **options: Any) -> list[Any]:
    """All chunks of a stream."""
    with client.chat.completions.create(**GOOD, **options, stream=True) as answer:
        return list(answer)


def tokens(server: Listening) -> list[float | None]:
    """The tokens read and written that were counted."""
    return [
        server.value("llm_tokens_total", model=NAME, version=MODEL, type=kind)
        for kind in ("input", "output")
    ]


def test_an_answer_has_the_upstreams_text_and_our_names(server: Listening, client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(**GOOD)
    answer = raw.parse()
    assert answer.id.startswith("chatcmpl-")
    assert answer.created > 1_700_000_000
    assert (answer.model, answer.system_fingerprint) == (NAME, f"{NAME}-{MODEL}")
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == (TEXT, "stop")
    assert answer.usage.model_dump(exclude_none=True) == USAGE
    assert answer.model_extra == choice.model_extra == choice.message.model_extra == {}
    assert (raw.headers["x-model-name"], raw.headers["x-model-version"]) == (NAME, MODEL)
    assert tokens(server) == [11, 3]


def test_a_stream_comes_as_that_of_a_local_model(client: OpenAI, server: Listening) -> None:
    first, *pieces, last = chunks(client)
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "")
    assert [piece.choices[0].delta.content for piece in pieces] == ["Once ", "upon ", "a ☃"]
    assert last.choices[0].finish_reason == "stop"
    for found in (first, *pieces, last):
        assert (found.model, found.id, found.usage) == (NAME, first.id, None)
        assert found.model_extra == {}
    # It is asked for, also where the client does not want to see it.
    assert tokens(server) == [11, 3]


def test_the_usage_is_the_last_of_a_stream_if_it_is_wanted(client: OpenAI) -> None:
    *others, last = chunks(client, stream_options={"include_usage": True})
    assert last.choices == []
    assert last.usage.model_dump(exclude_none=True) == USAGE
    assert {one.usage for one in others} == {None}


def test_on_the_wire_a_stream_without_the_wish_has_no_usage(server: Listening) -> None:
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=GOOD | {"stream": True})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert '"usage"' not in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "theirs" not in answer.text


def test_an_upstream_that_counts_nothing_is_answered_without_usage(
    upstream: FakeUpstream, server: Listening, client: OpenAI
) -> None:
    for told in (None, {"prompt_tokens": -1, "completion_tokens": 3}, {"tokens": 1}):
        upstream.usage = told
        assert client.chat.completions.create(**GOOD).usage is None
        assert all(
            one.usage is None for one in chunks(client, stream_options={"include_usage": True})
        )
    assert tokens(server) == [0, 0]


def test_the_upstream_gets_the_key_the_messages_and_what_is_asked_of_the_text(
    upstream: FakeUpstream, client: OpenAI
) -> None:
    parts = [{"type": "text", "text": "a "}, {"type": "text", "text": "story"}]
    messages: Any = [
        {"role": "system", "content": "Be brief", "name": "boss"},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": "Yes", "refusal": None, "annotations": []},
        {"role": "tool", "content": "4", "tool_call_id": "c1"},
    ]
    client.chat.completions.create(
        model=NAME, messages=messages, temperature=0.5, top_p=0.9, seed=7, stop="\n", max_tokens=9,
        user="somebody", metadata={"a": "b"}, store=True, n=1, frequency_penalty=0,
        extra_headers={"Authorization": "Bearer the-clients-own", "X-Api-Key": "too"},
    )  # fmt: skip
    assert upstream.paths == ["/v1/chat/completions"]
    assert upstream.asked == [
        {
            "model": MODEL,
            "messages": [
                {"role": "system", "content": "Be brief", "name": "boss"},
                {"role": "user", "content": "a story"},
                {"role": "assistant", "content": "Yes", "refusal": None, "annotations": []},
                {"role": "tool", "content": "4", "tool_call_id": "c1"},
            ],
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 7,
            "stop": "\n",
            "max_tokens": 9,
            "user": "somebody",
            "metadata": {"a": "b"},
            "store": True,
            "frequency_penalty": 0,
        }
    ]
    (head,) = upstream.heads
    assert head.pop("content-length")
    assert head == {
        "host": upstream.url.removeprefix("http://"),
        "user-agent": "kindling-service",
        "accept-encoding": "identity",
        "accept": "application/json",
        "connection": "close",
        "content-type": "application/json",
        "authorization": f"Bearer {KEY}",
    }


def test_what_a_client_does_not_say_is_left_to_the_upstream(
    upstream: FakeUpstream, client: OpenAI
) -> None:
    client.chat.completions.create(**GOOD, temperature=None, stop=[])
    chunks(client)
    plain = {"model": MODEL, "messages": [MESSAGE]}
    streamed = plain | {"stream": True, "stream_options": {"include_usage": True}}
    assert upstream.asked == [plain, streamed]


def test_the_upstreams_own_limits_bind_it(upstream: FakeUpstream, client: OpenAI) -> None:
    messages: Any = [
        MESSAGE,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [TOOL_CALL],
            "reasoning_content": "hm",
        },
        {"role": "tool", "tool_call_id": "c1", "content": "4"},
        *[MESSAGE] * 100,
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]},
    ]
    own = {
        "top_k": 40, "chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "high",
        "response_format": {"type": "json_object"}, "temperature": 3, "top_p": 0,
    }  # fmt: skip
    client.chat.completions.create(
        model=NAME, messages=messages, max_completion_tokens=100_000, extra_body=own
    )
    assert upstream.asked == [
        {"model": MODEL, "messages": messages, "max_completion_tokens": 100_000, **own}
    ]


def test_what_says_nothing_without_tools_is_left_out(
    upstream: FakeUpstream, client: OpenAI
) -> None:
    neutral = {
        "tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "functions": [],
        "function_call": "none", "logprobs": False, "top_logprobs": 0, "n": 1, "stop": None,
    }  # fmt: skip
    client.chat.completions.create(**GOOD, extra_body=neutral)
    assert upstream.asked == [{"model": MODEL, "messages": [MESSAGE]}]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"logprobs": True}, "logprobs"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"audio": {"voice": "alloy"}}, "audio"),
        ({"messages": []}, "messages"),
        ({"messages": [{"content": "a"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content.str"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_what_its_response_could_not_show_is_refused(
    upstream: FakeUpstream, client: OpenAI, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(BadRequestError) as error:
        client.chat.completions.create(**GOOD, extra_body=changes)
    assert error.value.body["param"] == field  # type: ignore[index]
    assert upstream.asked == []


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_number_that_json_does_not_have_is_refused(
    upstream: FakeUpstream, server: Listening, number: str
) -> None:
    body = f'{{"model": "{NAME}", "messages": [{{"role": "user"}}], "top_k": {number}}}'
    answer = httpx.post(f"{server.url}/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert upstream.asked == []


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
        ({"max_completion_tokens": 9, "max_tokens": 5}, {"max_completion_tokens": 5}),
        ({"max_tokens": 5}, {"max_tokens": 5}),
    ],
)
def test_the_limit_is_sent_under_the_clients_name_for_it(
    upstream: FakeUpstream, client: OpenAI, options: dict[str, int], sent: dict[str, int]
) -> None:
    client.chat.completions.create(**GOOD, **options)
    (asked,) = upstream.asked
    assert {name: value for name, value in asked.items() if "max" in name} == sent


def test_without_a_key_and_a_model_none_is_sent(upstream: FakeUpstream) -> None:
    settings = {"upstream_key": "", "upstream_model": "", "upstream_name": "chat"}
    with in_front_of(upstream, **settings) as server, server.client() as client:
        raw = client.chat.completions.with_raw_response.create(model="chat", messages=[MESSAGE])
        assert raw.headers["x-model-version"] == "upstream"
    assert upstream.asked[0]["model"] == "chat"
    assert "authorization" not in upstream.heads[0]


@pytest.mark.parametrize(
    ("told", "shown"),
    [("length", "length"), ("content_filter", "content_filter"), ("eos_token", "stop")],
)
def test_the_reason_is_one_that_clients_know(
    upstream: FakeUpstream, client: OpenAI, told: str, shown: str
) -> None:
    upstream.reason = told
    assert client.chat.completions.create(**GOOD).choices[0].finish_reason == shown
    assert chunks(client)[-1].choices[0].finish_reason == shown


def test_a_piece_is_sent_before_the_next_has_come(upstream: FakeUpstream, client: OpenAI) -> None:
    go_on = threading.Event()

    def rest(handler: Any) -> None:
        assert go_on.wait(20)
        stream_rest = json.dumps(chunk({"content": "two"}, "stop"))
        body = f"data: {stream_rest}\n\ndata: [DONE]\n\n".encode()
        handler.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))

    upstream.act = stream(chunk({"content": "one "}), then=rest)
    with client.chat.completions.create(**GOOD, stream=True) as answer:
        assert next(answer).choices[0].delta.role == "assistant"
        assert next(answer).choices[0].delta.content == "one "
        go_on.set()
        assert next(answer).choices[0].delta.content == "two"
        assert next(answer).choices[0].finish_reason == "stop"


def test_the_upstream_is_the_one_model_there_is(client: OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.owned_by) == (NAME, "upstream")
    assert client.models.retrieve(NAME) == model
    for name in ("text", MODEL):
        with pytest.raises(NotFoundError) as error:
            client.chat.completions.create(model=name, messages=[MESSAGE])
        assert error.value.body == {
            "message": f"there is no such text-generator; there are: {NAME}",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }


def test_it_takes_the_place_of_a_local_text_generator(upstream: FakeUpstream) -> None:
    settings = settings_for(upstream)
    with listening(Scripted().served(), **settings) as server, server.client() as client:
        assert [model.id for model in client.models.list()] == [NAME]
        with pytest.raises(NotFoundError):
            client.chat.completions.create(model="text", messages=[MESSAGE])
    with listening(Scripted().served()) as server, server.client() as client:
        assert client.chat.completions.create(model="text", messages=[MESSAGE]).choices


def test_the_api_description_tells_who_answers(server: Listening) -> None:
    description = httpx.get(f"{server.url}/openapi.json").json()
    operation = description["paths"]["/v1/chat/completions"]["post"]
    assert "Another service answers" in operation["description"]
    assert "502" in operation["responses"]


def test_the_same_is_refused_as_of_a_local_model(upstream: FakeUpstream, client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as error:
        client.chat.completions.create(**GOOD, n=2)
    assert "does not offer this" in str(error.value.body)
    assert upstream.asked == []


def test_it_is_counted_under_its_names_and_has_no_accuracy(
    server: Listening, client: OpenAI
) -> None:
    client.chat.completions.create(**GOOD)
    labels = {"model": NAME, "version": MODEL}
    wait_until(
        lambda: server.value("llm_requests_total", **labels, status="200") == 1, "it is counted"
    )
    for status in STATUSES - {200}:
        assert server.value("llm_requests_total", **labels, status=str(status)) == 0
    assert server.value("llm_request_latency_seconds_count", **labels) == 1
    assert server.value("model_info", **labels, kind="upstream") == 1
    samples = [one for metric in server.metrics.registry.collect() for one in metric.samples]
    of_it = {sample.name for sample in samples if sample.labels.get("model") == NAME}
    assert not {name for name in of_it if name.startswith(("model_accuracy", "inference_"))}


def test_readiness_is_that_of_the_classifiers_whatever_the_upstream_does(
    serve: Callable[..., Server], upstream: FakeUpstream
) -> None:
    upstream.stop()
    try:
        # Ready when returned: with no text generator, and nobody there to ask.
        server = serve(models="digits", **settings_for(upstream))
        assert httpx.post(f"{server.url}/v1/chat/completions", json=GOOD).status_code == 502
        assert httpx.get(f"{server.url}/ready").status_code == 200
        answer = httpx.post(f"{server.url}/predict", json={"instances": [EXAMPLE_ROW]})
        assert answer.json()["predictions"][0]["label"] == 1
    finally:
        upstream.start()
    assert httpx.post(f"{server.url}/v1/chat/completions", json=GOOD).status_code == 200
