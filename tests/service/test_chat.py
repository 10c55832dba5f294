"""The chat API through OpenAI's own client: what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from chat_server import Listening, Scripted, listening, trained_server
from conftest import Server, keep_copy
from openai import InternalServerError, NotFoundError, OpenAI
from sentencepiece import SentencePieceProcessor
from text_models import trained

PROMPT = "Parameters\n----------\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    with trained_server(tmp_path_factory.mktemp("text")) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Listening) -> Iterator[OpenAI]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def endless() -> Iterator[OpenAI]:
    """A client of a model that never ends a text by itself."""
    with listening(Scripted().served()) as server, server.client() as client:
        yield client


@pytest.fixture(scope="module")
def tokenizer() -> SentencePieceProcessor:
    return SentencePieceProcessor(model_proto=trained()["tokenizer.model"])


def ask(client: OpenAI, *contents: Any, **options: Any) -> Any:
    """The answer to messages of the user."""
    messages: Any = [{"role": "user", "content": content} for content in contents or (PROMPT,)]
    return client.chat.completions.create(model="text", messages=messages, **options)


def text(client: OpenAI, *contents: Any, **options: Any) -> str:
    """The text of the answer."""
    content: str = ask(client, *contents, **options).choices[0].message.content
    return content


def test_an_answer_has_the_shape_of_openais(client: OpenAI) -> None:
    answer = ask(client, max_tokens=5, seed=1)
    assert answer.id.startswith("chatcmpl-")
    assert answer.id != ask(client, max_tokens=1).id
    assert (answer.object, answer.model) == ("chat.completion", "text")
    assert answer.created > 1_700_000_000
    assert answer.system_fingerprint == "text-3"
    (choice,) = answer.choices
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "length", None)
    assert (choice.message.role, choice.message.refusal) == ("assistant", None)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 5
    # Nothing that the client's types do not know.
    assert answer.model_extra == choice.model_extra == choice.message.model_extra == {}


def test_the_headers_tell_the_model(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="text", messages=[{"role": "user", "content": "a"}], max_tokens=1
    )
    assert (raw.headers["x-model-name"], raw.headers["x-model-version"]) == ("text", "3")
    assert raw.headers["content-type"] == "application/json"


def test_usage_is_what_the_tokenizer_counts(
    client: OpenAI, tokenizer: SentencePieceProcessor
) -> None:
    reasons = set()
    for seed in range(30):
        answer = ask(client, seed=seed, max_tokens=48, temperature=seed % 4 / 2)
        content, usage = answer.choices[0].message.content, answer.usage
        assert usage.completion_tokens == len(tokenizer.encode(content))
        assert usage.prompt_tokens == len(tokenizer.encode(PROMPT))
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        reasons.add(answer.choices[0].finish_reason)
        if answer.choices[0].finish_reason == "length":
            assert usage.completion_tokens == 48
    assert reasons == {"stop", "length"}


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({}, 64),
        ({"max_tokens": 3}, 3),
        ({"max_completion_tokens": 4}, 4),
        ({"max_completion_tokens": 5, "max_tokens": 9}, 5),
        ({"max_completion_tokens": 9, "max_tokens": 5}, 5),
        ({"max_tokens": 256}, 256),
    ],
)
def test_an_answer_has_its_most_tokens(endless: OpenAI, options: dict[str, int], most: int) -> None:
    answer = ask(endless, **options)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == most


def test_the_seed_and_the_temperature_decide_the_text(client: OpenAI) -> None:
    assert text(client, seed=4) == text(client, seed=4)
    assert text(client, seed=4) != text(client, seed=5)
    assert text(client) != text(client)
    assert text(client, temperature=0) == text(client, temperature=0, seed=9)
    assert text(client, top_p=1e-6) == text(client, temperature=0)


def test_the_prompt_is_the_content_of_all_messages(
    client: OpenAI, tokenizer: SentencePieceProcessor
) -> None:
    def answer(*messages: Any) -> tuple[str, int]:
        found = client.chat.completions.create(model="text", messages=messages, seed=2)
        assert found.usage is not None
        return found.choices[0].message.content or "", found.usage.prompt_tokens

    whole = answer({"role": "user", "content": "one\ntwo three\n\nfour"})
    assert whole[1] == len(tokenizer.encode("one\ntwo three\n\nfour"))
    assert whole == answer(
        {"role": "system", "content": "one"},
        {"role": "developer", "content": "two three", "name": "x"},
        {"role": "assistant", "content": "", "refusal": None, "tool_calls": None},
        {"role": "tool", "content": "four", "tool_call_id": "1"},
    )
    parts = [{"type": "text", "text": "two "}, {"type": "text", "text": "three\n\nfour"}]
    assert whole == answer(
        {"role": "user", "content": "one"}, {"role": "assistant", "content": parts}
    )


def test_an_answer_can_be_sent_back_as_a_message(client: OpenAI) -> None:
    message = ask(client, max_tokens=4).choices[0].message
    for again in (message, message.model_dump()):
        messages: Any = [{"role": "user", "content": "a"}, again]
        client.chat.completions.create(model="text", messages=messages, max_tokens=1)


def test_a_prompt_that_is_empty_or_far_longer_than_the_context_is_answered(client: OpenAI) -> None:
    assert ask(client, "", max_tokens=2).usage.prompt_tokens == 0
    assert ask(client, "ab " * 200_000, max_tokens=2).usage.prompt_tokens > 100_000


def test_a_stop_string_ends_the_text_before_it(
    client: OpenAI, tokenizer: SentencePieceProcessor
) -> None:
    cut = 0
    for seed in range(8):
        whole = text(client, seed=seed)
        for stop in ("e", "in", [" t", "ion", "\n"]):
            answer = ask(client, seed=seed, stop=stop)
            content = answer.choices[0].message.content
            starts = [whole.find(one) for one in ([stop] if isinstance(stop, str) else stop)]
            ends = [start for start in starts if start >= 0]
            assert content == whole[: min(ends, default=len(whole))]
            assert answer.usage.completion_tokens == len(tokenizer.encode(content))
            if ends:
                assert answer.choices[0].finish_reason == "stop"
                cut += 1
    assert cut > 8


@pytest.mark.parametrize("name", ["other", "digits"])
def test_a_model_that_generates_no_text_is_not_found(client: OpenAI, name: str) -> None:
    with pytest.raises(NotFoundError) as error:
        client.chat.completions.create(model=name, messages=[{"role": "user", "content": "a"}])
    assert error.value.code == "model_not_found"
    assert error.value.body == {
        "message": "there is no such text-generator; there are: text",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    with pytest.raises(NotFoundError):
        client.models.retrieve(name)


def test_a_model_that_is_not_loaded_yet_is_not_ready() -> None:
    with listening(names=("text",)) as server, server.client() as client:
        with pytest.raises(InternalServerError) as error:
            ask(client)
        assert (error.value.status_code, error.value.code) == (503, "not_ready")
        assert client.models.list().data == []


def test_models_are_the_text_generators(client: OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("text", "model", "kindling")
    assert client.models.retrieve("text") == model


def test_tokens_are_counted_for_the_model(server: Listening, client: OpenAI) -> None:
    def counted() -> list[float]:
        kinds = ("input", "output")
        return [server.value("llm_tokens_total", type=kind) or 0 for kind in kinds]

    before = counted()
    usage = ask(client, max_tokens=7, seed=1).usage
    assert counted() == [before[0] + usage.prompt_tokens, before[1] + usage.completion_tokens]


def test_a_request_keeps_the_version_that_it_began_with() -> None:
    old = Scripted(seconds=0.01)
    with listening(old.served("3")) as server, server.client() as client:
        with client.chat.completions.create(
            model="text", messages=[{"role": "user", "content": "a"}], max_tokens=20, stream=True
        ) as stream:
            chunks = [next(stream)]
            server.models.put(Scripted(text="other").served("4"))
            chunks += list(stream)
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
        assert "".join(pieces).startswith("thenthenthen")
        assert "o" not in "".join(pieces)
        assert {chunk.system_fingerprint for chunk in chunks} == {"text-3"}
        assert ask(client).system_fingerprint == "text-4"


def test_the_example_in_the_api_description_works(server: Listening) -> None:
    description = httpx.get(f"{server.url}/openapi.json").json()
    operation = description["paths"]["/v1/chat/completions"]["post"]
    assert "follows no instructions" in operation["description"]
    content = operation["requestBody"]["content"]["application/json"]
    assert "$ref" not in str(content)
    assert content["schema"]["properties"]["messages"]["maxItems"] == 64
    assert set(operation["responses"]["200"]["content"]) == {
        "application/json",
        "text/event-stream",
    }
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=content["example"])
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"]


def test_the_service_serves_its_copy_of_a_text_generator(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    copies = keep_copy(tmp_path / "copies", "text", "7", trained())
    server = serve(cache_dir=copies, models="text")
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        assert ask(client).system_fingerprint == "text-7"
