"""What a converter says is taken only if it is what it should be."""

from __future__ import annotations

import io
import json
from typing import Any

import imported
import pytest
from imported import answer, descriptor, graph

from kindling.errors import KindlingError
from kindling.import_answer import read

GRAPH, DESCRIPTOR = graph(), descriptor()


def test_a_good_answer_is_taken() -> None:
    found = read(io.BytesIO(answer()), "mine")
    assert found.files == {"model.json": DESCRIPTOR, "model.onnx": GRAPH}
    assert found.figures.model_dump() == imported.FIGURES


def test_a_refusal_is_told_without_what_a_terminal_would_obey() -> None:
    said = {"refused": "its step\x1b[2J\nmine", "next": "replace it\r"}
    with pytest.raises(KindlingError) as error:
        read(io.BytesIO(json.dumps(said).encode()), "mine")
    assert (error.value.message, error.value.next_step) == (
        "its step[2Jmine",
        "the converter advises: replace it",
    )


def test_what_an_answer_calls_its_fields_and_columns_is_no_order_to_a_terminal() -> None:
    line = json.dumps({"done": {}, "files": {}, "\x1b[2J\n  next: rm": 1}).encode() + b"\n"
    with pytest.raises(KindlingError) as error:
        read(io.BytesIO(line), "mine")
    assert error.value.message.isprintable()
    odd = json.loads(DESCRIPTOR)
    odd["tabular"]["inputs"][0]["name"] = "x\nnext: rm"
    with pytest.raises(KindlingError, match="not taken"):
        read(io.BytesIO(files(model_json=json.dumps(odd).encode())), "mine")


def files(**changes: bytes) -> bytes:
    named = {name.replace("_", "."): content for name, content in changes.items()}
    return answer({"model.json": DESCRIPTOR, "model.onnx": GRAPH} | named)


BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "ended without a word"),
    "words": (b"hello\n", "figures are not valid"),
    "an endless line": (b"[" * 100_000, "figures are not valid"),
    "labels that differ": (answer(disagreements=1), "figures are not valid: .*disagreements"),
    "numbers that differ": (answer(largest_difference=1.1e-4), "not valid: .*largest_difference"),
    "no number": (answer(largest_difference=float("nan")), "not valid: .*largest_difference"),
    "another tolerance": (answer(tolerance=1), "not valid: .*tolerance"),
    "few rows": (answer(rows=10), "not valid: .*rows"),
    "another flavor": (answer(flavor="pyfunc"), "not valid: .*flavor"),
    "a long library": (answer(library="x" * 100), "not valid: .*library"),
    "a model with words": (answer(model="a b"), "not valid: .*model"),
    "more figures": (answer(more=1), "not valid: .*more"),
    "a pickle beside": (files(model_pkl=b"x"), "does not consist of model.json and model.onnx"),
    "no graph": (answer({"model.json": DESCRIPTOR}), "does not consist of"),
    "too large": (answer(sizes={"model.onnx": 2**28 + 1}), "model.onnx has 268435457 bytes"),
    "a long descriptor": (answer(sizes={"model.json": 2**18 + 1}), "model.json has 262145 bytes"),
    "no content": (answer(sizes={"model.json": 0}), "model.json has 0 bytes"),
    "less than it says": (answer(sizes={"model.onnx": 10_000}), "model.onnx ends too soon"),
    "no descriptor": (files(model_json=b"{}"), "model.json is not valid"),
    "another name": (files(model_json=descriptor("other")), "is of model other, not mine"),
    "another kind": (
        files(model_json=descriptor(kind="text-generator", accuracy=1.0, tabular=None, text={
            "vocabulary": 9, "context": 9})),
        "its kind is text-generator",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_anything_else_is_not(case: str) -> None:
    content, reason = BAD[case]
    with pytest.raises(KindlingError, match=reason):
        read(io.BytesIO(content), "mine")


def test_what_comes_after_the_files_is_not_read() -> None:
    class Endless(io.RawIOBase):
        def __init__(self) -> None:
            self._start = io.BytesIO(answer())

        def readable(self) -> bool:
            return True

        def readinto(self, into: Any) -> int:
            found = self._start.read(len(into)) or b"x" * len(into)
            into[: len(found)] = found
            return len(found)

    assert read(io.BufferedReader(Endless()), "mine").files["model.onnx"] == GRAPH
