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
    """The package of a model, made by a process with other hashes and other kernels than another.

    Kernels as OpenBLAS would pick them on an old processor, if it were left to it.
    """
    made: dict[str, Path] = {}

    def of(name: str, seed: str = "1", kernels: str = "Sandybridge") -> Path:
        if name + seed not in made:
            folder = tmp_path_factory.mktemp(name)
            code = f"import pathlib, sys; folder = pathlib.Path(sys.argv[1]); {WRITE[name]}"
            subprocess.run(
                [sys.executable, "-c", code, folder], cwd=ROOT, check=True,
                env={**os.environ, "PYTHONHASHSEED": seed, "OPENBLAS_CORETYPE": kernels},
            )  # fmt: skip
            made[name + seed] = folder
        return made[name + seed]

    return of


def session(folder: Path) -> ort.InferenceSession:
    return ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", WRITE)
def test_the_same_data_and_seed_make_the_same_files_on_every_processor(
    package_of: Callable[..., Path], name: str
) -> None:
    other = package_of(name, "2", kernels="Prescott")
    assert package.sha256(package_of(name)) == package.sha256(other)


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


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, preparation.Images]:
    folder = tmp_path_factory.mktemp("images")
    digits.prepare(folder, parameters.load("digits", digits.Params).prepare)
    return {part: preparation.read(folder, part) for part in ("train", "held_out")}


def test_a_fifth_of_every_digit_is_held_out_and_never_trained_on(
    images: dict[str, preparation.Images],
) -> None:
    train, held_out = images["train"], images["held_out"]
    assert len(held_out.numbers) == 360
    assert sorted([*train.numbers, *held_out.numbers]) == list(range(1797))
    labels = np.concatenate([train.labels, held_out.labels])
    for digit in range(10):
        share = np.mean(held_out.labels == digit) / np.mean(labels == digit)
        assert share == pytest.approx(1, abs=0.05)


def test_the_same_images_are_held_out_every_time_and_everywhere(
    images: dict[str, preparation.Images],
) -> None:
    assert images["held_out"].numbers[:5].tolist() == [11, 30, 34, 41, 43]


def test_the_examples_are_held_out_images_with_their_labels(
    package_of: Callable[..., Path], images: dict[str, preparation.Images]
) -> None:
    holdout = json.loads((package_of("digits") / "holdout.json").read_text())
    rows = len(holdout["labels"])
    assert rows == 8
    assert holdout["request"]["instances"] == images["held_out"].pixels[:rows].tolist()
    assert holdout["labels"] == images["held_out"].labels[:rows].tolist()
    assert json.loads((package_of("digits") / "request.json").read_text()) == holdout["request"]


def test_the_written_accuracy_is_that_of_the_written_model_on_held_out_images(
    package_of: Callable[..., Path], images: dict[str, preparation.Images]
) -> None:
    folder, held_out = package_of("digits"), images["held_out"]
    model = session(folder)
    labels, _ = model.run(None, {model.get_inputs()[0].name: held_out.pixels})
    described = json.loads((folder / "model.json").read_text())
    assert described["accuracy"] == np.mean(labels == held_out.labels)


@pytest.mark.parametrize("name", WRITE)
def test_training_leaves_no_trace_outside_its_folder(tmp_path: Path, name: str) -> None:
    for folder in ("home", "cache", "tmp", "work"):
        (tmp_path / folder).mkdir()
    # In CI the libraries behave themselves without being told.
    unset = ("CI", "ORT_DISABLE_TELEMETRY")
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    environment |= {
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path / "tmp"),
        "PYTHONPATH": str(ROOT),
    }
    code = f"import pathlib; folder = pathlib.Path('model'); {WRITE[name]}"
    subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=tmp_path / "work", env=environment, check=True
    )
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    model: Any = stages.load(name)
    written = {f"work/model/{file}" for file in (*model.PACKAGE, *model.EXAMPLES)}
    assert found == {"home", "cache", "tmp", "work", "work/model", *written}


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
