"""Both models: good, described truthfully, as the service wants them, and the same each time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from pipeline import digits, package, stages, text
from pipeline import params as parameters
from pipeline.digits import preparation
from pipeline.text import tokenizer
from pipeline.text.preparation import read

ROOT = Path(__file__).parents[2]
WRITE = {
    "digits": "from pipeline import digits; digits.write_package(folder)",
    "text": "from pipeline import text; text.write_package(folder, params=text.TINY)",
}


@pytest.fixture(scope="module")
def package_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The package of a model, made by a process of its own with a hash seed of its own."""
    made: dict[str, Path] = {}

    def of(name: str, seed: str = "1") -> Path:
        if name + seed not in made:
            folder = tmp_path_factory.mktemp(name)
            code = f"import pathlib, sys; folder = pathlib.Path(sys.argv[1]); {WRITE[name]}"
            subprocess.run(
                [sys.executable, "-c", code, folder], cwd=ROOT, check=True,
                env={**os.environ, "PYTHONHASHSEED": seed},
            )  # fmt: skip
            made[name + seed] = folder
        return made[name + seed]

    return of


def session(folder: Path) -> ort.InferenceSession:
    return ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", WRITE)
def test_the_same_data_and_seed_make_the_same_files(
    package_of: Callable[..., Path], name: str
) -> None:
    assert package.sha256(package_of(name)) == package.sha256(package_of(name, "2"))


def test_the_digits_are_described_as_they_are(package_of: Callable[..., Path]) -> None:
    folder = package_of("digits")
    described = json.loads((folder / "model.json").read_text())
    part = {"features": 64, "minimum": 0, "maximum": 16, "classes": 10}
    assert described["classifier"] == part
    assert (described["format"], described["name"], described["kind"]) == (
        1,
        "digits",
        "classifier",
    )
    assert described["accuracy"] >= 0.95
    holdout = json.loads((folder / "holdout.json").read_text())
    rows = np.array(holdout["request"]["instances"], np.float32)
    model = session(folder)
    labels, probabilities = model.run(None, {model.get_inputs()[0].name: rows})
    assert labels.dtype == np.int64
    assert probabilities.shape == (len(rows), 10)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (labels == holdout["labels"]).mean() >= 0.75


def test_the_text_model_is_described_as_it_is(package_of: Callable[..., Path]) -> None:
    folder = package_of("text")
    described = json.loads((folder / "model.json").read_text())
    part = described["text"]
    assert (described["format"], described["name"], described["kind"]) == (
        1,
        "text",
        "text-generator",
    )
    tokens = tokenizer.load(folder / "tokenizer.model")
    assert tokens.vocab_size() == part["vocabulary"]
    model = session(folder)
    (given,) = model.get_inputs()
    assert (given.name, given.type, given.shape[1]) == ("tokens", "tensor(int64)", part["context"])
    (logits,) = model.run(None, {"tokens": np.zeros((3, part["context"]), np.int64)})
    assert logits.dtype == np.float32
    assert logits.shape == (3, part["vocabulary"])


@pytest.mark.parametrize("words", ["The mean.", " two  spaces", "a\nb\n\nc", "naïve ☃ 数", ""])
def test_the_tokenizer_gives_every_text_back(package_of: Callable[..., Path], words: str) -> None:
    tokens = tokenizer.load(package_of("text") / "tokenizer.model")
    assert tokens.decode(tokens.encode(words)) == words


def test_no_image_is_held_out_and_trained_on(tmp_path: Path) -> None:
    digits.prepare(tmp_path, parameters.load("digits", digits.Params).prepare)
    train, held_out = (preparation.read(tmp_path, part) for part in ("train", "held_out"))
    assert not set(train.numbers) & set(held_out.numbers)
    assert len(train.numbers) + len(held_out.numbers) == 1797
    assert len(held_out.numbers) == pytest.approx(1797 * 0.2, abs=1)


def test_no_text_is_held_out_and_trained_on(tmp_path: Path) -> None:
    text.prepare(tmp_path, text.TINY.prepare)
    train, held_out = (set(read(tmp_path, part)) for part in ("train", "held_out"))
    assert len(train) > 50
    assert len(held_out) > 5
    assert not train & held_out


def test_a_model_that_was_not_evaluated_is_not_taken_for_one_that_was(tmp_path: Path) -> None:
    build: Any = stages.Build(tmp_path)
    stages.prepare(text, build, text.TINY)  # type: ignore[arg-type]
    stages.train(text, build, text.TINY)  # type: ignore[arg-type]
    stages.evaluate(text, build)  # type: ignore[arg-type]
    assert stages.metrics(build)["accuracy"] > 0
    (build.model / "model.onnx").write_bytes(b"another")
    with pytest.raises(Exception, match="has not been evaluated"):
        stages.metrics(build)
