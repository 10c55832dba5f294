"""Right answers are taken for right, and each kind of wrong one is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fake_service import VERSION, chunks, data, known, prediction, stream

from loadtests.answers import OK, Judge, Verdict

Change = Callable[[Any], object]


def _predicted(change: Change) -> bytes:
    answer = prediction([3, 4])
    change(answer)
    return json.dumps(answer).encode()


def test_a_right_prediction_is_ok() -> None:
    assert Judge(known()).prediction(_predicted(lambda _: None), [3, 4]) == OK


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda a: a.update(model="text"), "model"),
        (lambda a: a.pop("version"), "version"),
        (lambda a: a.update(version=""), "version"),
        (lambda a: a.pop("predictions"), "count"),
        (lambda a: a["predictions"].pop(), "count"),
        (lambda a: a["predictions"].append(a["predictions"][0]), "count"),
        (lambda a: a["predictions"].__setitem__(0, 3), "prediction"),
        (lambda a: a["predictions"][0].update(label="3"), "prediction"),
        (lambda a: a["predictions"][0]["probabilities"].pop(), "probabilities"),
        (lambda a: a["predictions"][0]["probabilities"].__setitem__(0, 0.2), "probabilities"),
        (lambda a: a["predictions"][0]["probabilities"].__setitem__(0, -0.1), "probabilities"),
        (lambda a: a["predictions"][0]["probabilities"].__setitem__(0, None), "probabilities"),
        (lambda a: a["predictions"][0].update(label=4), "argmax"),
        (lambda a: a["predictions"].reverse(), "label"),
    ],
)
def test_a_wrong_prediction_is_found(change: Change, reason: str) -> None:
    assert Judge(known()).prediction(_predicted(change), [3, 4]) == Verdict("wrong", reason)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_what_is_no_prediction_at_all_is_found(content: bytes) -> None:
    assert Judge(known()).prediction(content, [3]) == Verdict("wrong", "not JSON")


def test_an_error_that_the_model_always_makes_is_none_of_the_service() -> None:
    expected = known()
    expected.labels_of[VERSION][3] = 5
    judge = Judge(expected)
    assert judge.prediction(json.dumps(prediction([5])).encode(), [3]) == OK
    # Being right where the version is wrong contradicts it as well.
    assert judge.prediction(json.dumps(prediction([3])).encode(), [3]) == Verdict("wrong", "label")


def test_what_a_version_is_not_sure_of_may_change() -> None:
    expected = known()
    expected.labels_of[VERSION][3] = None
    for label in (3, 5):
        assert Judge(expected).prediction(json.dumps(prediction([label])).encode(), [3]) == OK


def _errs(share: float, times: int) -> set[Verdict]:
    """What is said of a version that nobody knows and that errs this often."""
    judge = Judge(data())
    found = set()
    for number in range(times):
        label = 4 if number % round(1 / share) == 0 else 3
        content = json.dumps(prediction([label], version="8")).encode()
        found.add(judge.prediction(content, [3]))
    return found


def test_ordinary_errors_of_an_unknown_version_are_no_wrong_answers() -> None:
    assert _errs(0.05, 2000) == {OK}


def test_an_unknown_version_that_errs_much_more_often_is_found() -> None:
    assert _errs(0.25, 2000) == {OK, Verdict("wrong", "label")}


def _streamed(change: Change, prompt: int = 0) -> bytes:
    events = chunks(known().texts_of[VERSION][prompt])
    change(events)
    return stream(events)


def test_a_right_stream_is_ok() -> None:
    assert Judge(known()).stream(_streamed(lambda _: None), 0) == OK
    assert Judge(data()).stream(_streamed(lambda _: None), 0) == OK


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda e: e[1].update(model="digits"), "model"),
        (lambda e: e[1].update(object="chat.completion"), "chunk"),
        (lambda e: e[1].update(id="another"), "chunk"),
        (lambda e: e[2].update(system_fingerprint="text-8"), "chunk"),
        (lambda e: [one.update(system_fingerprint="digits-7") for one in e], "version"),
        (lambda e: e[1].update(choices=[]), "chunk"),
        (lambda e: e[1]["choices"][0].update(delta="text"), "chunk"),
        (lambda e: e[0]["choices"][0]["delta"].pop("role"), "chunk"),
        (lambda e: e[1]["choices"][0]["delta"].update(content=5), "chunk"),
        (lambda e: e[2]["choices"][0].update(finish_reason=None), "finish"),
        (lambda e: e[1]["choices"][0].update(finish_reason="stop"), "finish"),
        (lambda e: e[2]["choices"][0].update(finish_reason="tool_calls"), "finish"),
        (lambda e: e.pop(), "no usage"),
        (lambda e: e[3].pop("usage"), "no usage"),
        (lambda e: e[3]["usage"].update(total_tokens=11), "usage"),
        (lambda e: e[3]["usage"].update(completion_tokens="8"), "usage"),
        (lambda e: e[3]["usage"].update(completion_tokens=9, total_tokens=11), "usage"),
        (lambda e: e[3]["usage"].update(completion_tokens=7, total_tokens=9), "usage"),
        (lambda e: e[3]["usage"].update(prompt_tokens=3, total_tokens=11), "text"),
        (lambda e: e[1]["choices"][0]["delta"].update(content=" said The"), "text"),
        (lambda e: e[1]["choices"][0]["delta"].update(content=""), "usage"),
    ],
)
def test_a_wrong_stream_is_found(change: Change, reason: str) -> None:
    assert Judge(known()).stream(_streamed(change), 0) == Verdict("wrong", reason)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a stream"),
        (b"{}", "not a stream"),
        (b"\xff\n\n", "not a stream"),
        (b"event: x\n\n", "not a stream"),
        (b"data: {\n\ndata: [DONE]\n\n", "not JSON"),
        (b"data: [DONE]\n\n", "not a stream"),
        (_streamed(lambda _: None).removesuffix(b"data: [DONE]\n\n"), "no end"),
        (_streamed(lambda _: None).removesuffix(b"\n"), "not a stream"),
        (_streamed(lambda _: None)[:-60], "not a stream"),
    ],
)
def test_a_stream_that_is_not_whole_is_found(content: bytes, reason: str) -> None:
    assert Judge(known()).stream(content, 0) == Verdict("wrong", reason)


def test_an_error_in_a_stream_is_no_answer() -> None:
    whole = _streamed(lambda _: None).removesuffix(b"data: [DONE]\n\n")
    content = whole + b'data: {"error": {"code": "timed_out", "message": "m"}}\n\n'
    assert Judge(known()).stream(content, 0) == Verdict("failed", "error in stream")


def _empty(version: str) -> bytes:
    said = known().texts_of[VERSION][0]
    return stream(chunks(said._replace(version=version, text="", finish_reason="stop",
                                       completion_tokens=0)))  # fmt: skip


def test_nothing_is_no_text() -> None:
    assert Judge(known()).stream(_empty(VERSION), 0) == Verdict("wrong", "empty")


def test_a_version_that_is_not_known_may_end_at_once_but_not_as_a_rule() -> None:
    judge = Judge(known())
    assert judge.stream(_empty("8"), 0) == OK
    assert {judge.stream(_empty("8"), 0) for _ in range(300)} == {OK, Verdict("wrong", "empty")}
