"""What is sent, and what is learned of the service before a load."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_service import VERSION, FakeService, chunks, data, known, prediction, right, stream

from kindling.errors import KindlingError
from loadtests import data as held_out
from loadtests.data import Data, Said
from loadtests.learning import learn
from pipeline import params
from pipeline.digits import Params, prepare
from pipeline.digits.preparation import read
from pipeline.text.preparation import Document, split

Answer = Callable[[dict[str, Any]], tuple[int, bytes]]


def test_images_are_those_that_the_pipeline_holds_out(tmp_path: Path) -> None:
    prepare(tmp_path / "digits" / "data", params.load("digits", Params).prepare)
    images, seen = (read(tmp_path / "digits" / "data", part) for part in ("held_out", "train"))
    # Prepared, and not yet prepared.
    for build in (tmp_path, tmp_path / "nowhere"):
        found = held_out.load(build, chat=False)
        assert found.labels == images.labels.tolist()
        assert found.rows == images.pixels.astype(int).tolist()
        assert not found.prompts
    trained = {tuple(row) for row in seen.pixels.astype(int).tolist()}
    assert trained.isdisjoint(map(tuple, found.rows))


def test_prompts_are_beginnings_of_held_out_texts(tmp_path: Path) -> None:
    words = "one two three four five six seven eight nine ten"
    text = tmp_path / "text" / "data"
    text.mkdir(parents=True)
    documents = [Document(f"{number}.py", (f"{number} {words}",)) for number in range(400)]
    _, out = split(documents, 0.5)
    lines = [json.dumps({"source": one.source, "text": one.text}) for one in out]
    (text / "held_out.jsonl").write_text("\n".join([*lines, '{"text": "too short"}']) + "\n")
    found = held_out.load(tmp_path).prompts
    assert len(found) == held_out.PROMPTS
    assert len({prompt.text for prompt in found}) == held_out.PROMPTS
    whole = {one.text for one in out}
    for prompt in found:
        assert any(one.startswith(f"{prompt.text} ") for one in whole)
        assert len(prompt.text.split()) == 7


def test_data_is_the_same_after_a_file(tmp_path: Path) -> None:
    known().write(tmp_path / "data.json")
    assert Data.read(tmp_path / "data.json") == known()


def test_it_learns_what_the_service_says_at_rest() -> None:
    with FakeService() as server:
        assert learn(data(), server.url) == known()


def test_it_takes_no_side_where_the_service_is_hardly_sure() -> None:
    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        found = prediction([int(row[0]) for row in body["instances"]])
        found["predictions"][3]["probabilities"][3:5] = [0.505, 0.495]
        return 200, json.dumps(found).encode()

    with FakeService(answer=answer) as server:
        labels = learn(data(chat=False), server.url).labels_of[VERSION]
    assert labels == [None if number == 3 else number % 10 for number in range(20)]


def test_a_prompt_that_is_answered_with_nothing_is_asked_in_another_way() -> None:
    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        if body.get("seed") == 0:
            return 200, stream(chunks(Said(VERSION, "", "stop", 2, 0)))
        return right(body)

    with FakeService(answer=answer) as server:
        learned = learn(data(), server.url)
    assert [prompt.seed for prompt in learned.prompts] == [1000, 1]
    assert all(said.text for said in learned.texts_of[VERSION])


def test_of_replicas_that_differ_no_text_is_expected() -> None:
    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        version = str(body.get("seed", VERSION))
        return (
            right(body)
            if "instances" in body
            else (200, stream(chunks(Said(version, " x", "length", 2, body["max_tokens"]))))
        )

    with FakeService(answer=answer) as server:
        assert learn(data(), server.url).texts_of == {}


def _half_wrong(body: dict[str, Any]) -> tuple[int, bytes]:
    return 200, json.dumps(prediction([0] * len(body["instances"]))).encode()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (_half_wrong, "digits is not fit .* it is right about 2 of 20 held-out rows"),
        (lambda _: (503, b'{"error":{"code":"c","message":"not loaded"}}'), "503: not loaded"),
        (lambda _: (200, b"{}"), "digits is not fit .*: its answer is wrong: count"),
        (lambda _: (200, json.dumps(prediction([1])).encode()), "another number of predictions"),
        (
            lambda body: right(body) if "instances" in body else (200, b"data: x"),
            "text is not fit .*: its stream is wrong: not a stream",
        ),
        (lambda _: (0, b""), "does not answer"),
    ],
)
def test_a_service_that_is_wrong_at_rest_is_not_loaded(answer: Answer, told: str) -> None:
    with FakeService(answer=answer) as server, pytest.raises(KindlingError, match=told) as caught:
        learn(data(), server.url)
    assert caught.value.next_step


def test_nobody_there_is_said_so() -> None:
    with FakeService() as server:
        pass
    with pytest.raises(KindlingError, match="does not answer") as caught:
        learn(data(), server.url)
    assert caught.value.next_step == "nox -s status"
