"""What an evaluation leaves behind: numbers beside their baseline, and what the plots are of."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline import digits, params, stages, text
from pipeline.digits import preparation
from pipeline.digits.evaluation import predict
from pipeline.stages import Build
from pipeline.text import examples, tokenizer
from pipeline.text.evaluation import load, score
from pipeline.text.preparation import read

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Build]:
    """Both models, small, through all stages."""
    usual = params.load("digits", digits.Params)
    small = dataclasses.replace(usual.train, hidden=(16,), rounds=5)
    chosen: dict[str, Any] = {"digits": dataclasses.replace(usual, train=small), "text": text.TINY}
    made = {}
    for name, its in chosen.items():
        build, model = Build(tmp_path_factory.mktemp(name)), stages.load(name)
        stages.prepare(model, build, its)
        stages.train(model, build, its)
        stages.evaluate(model, build)
        made[name] = build
    return made


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_digits_metrics_are_those_of_the_written_model(builds: dict[str, Build]) -> None:
    build = builds["digits"]
    found = json.loads(build.metrics.read_text())
    held_out = preparation.read(build.data, "held_out")
    right = predict(build.model / "model.onnx", held_out.pixels) == held_out.labels
    assert found["accuracy"] == right.mean()
    assert found["majority_accuracy"] == pytest.approx(0.1, abs=0.01)
    assert found["examples"] == 360
    rows = table(build.evaluation / "confusion.csv")
    assert sum(row["actual"] == row["predicted"] for row in rows) == right.sum()
    shares = [float(row["accuracy"]) for row in table(build.evaluation / "accuracy_by_digit.csv")]
    counts = np.bincount(held_out.labels)
    assert np.dot(shares, counts) / 360 == pytest.approx(found["accuracy"])
    assert json.loads((build.evaluation / "model.json").read_text())["accuracy"] == right.mean()


def test_the_text_metrics_are_those_of_the_written_model(builds: dict[str, Build]) -> None:
    build = builds["text"]
    found = json.loads(build.metrics.read_text())
    tokens = tokenizer.load(build.model / "tokenizer.model")
    held_out = tokenizer.encode(tokens, read(build.data, "held_out"))
    right, losses = score(load(build.model / "model.onnx"), *examples.windows(held_out, 8))
    assert found["examples"] == len(right) == sum(len(ids) + 1 for ids in held_out)
    assert found["accuracy"] == right.mean()
    assert found["perplexity"] == pytest.approx(np.exp(losses.mean()), abs=1e-3)
    assert found["accuracy"] > 3 * found["unigram_accuracy"]
    assert found["perplexity"] < 0.6 * found["unigram_perplexity"] < 384
    rows = table(build.evaluation / "by_tokens_seen.csv")
    assert [int(row["tokens"]) for row in rows] == list(range(9))
    assert (build.evaluation / "samples.txt").read_text().count("\n---\n") == 5


def test_the_unigram_baseline_is_what_counting_gives(builds: dict[str, Build]) -> None:
    build = builds["text"]
    tokens = tokenizer.load(build.model / "tokenizer.model")
    counts = np.ones(384)
    for ids in tokenizer.encode(tokens, read(build.data, "train")):
        for token in [*ids, tokenizer.EOS]:
            counts[token] += 1
    targets = [
        token
        for ids in tokenizer.encode(tokens, read(build.data, "held_out"))
        for token in [*ids, tokenizer.EOS]
    ]
    perplexity = np.exp(-np.log(counts[targets] / counts.sum()).mean())
    found = json.loads(build.metrics.read_text())
    assert found["unigram_perplexity"] == pytest.approx(perplexity, abs=1e-3)
    assert found["unigram_accuracy"] == np.mean(np.array(targets) == counts.argmax())


@pytest.mark.parametrize("name", stages.MODELS)
def test_the_gate_asks_for_what_is_measured(builds: dict[str, Build], name: str) -> None:
    limits = params.load(name, stages.load(name).Params).gate
    assert set(limits) <= set(json.loads(builds[name].metrics.read_text()))
    assert limits


def test_plots_are_of_columns_that_are_there(builds: dict[str, Build]) -> None:
    described = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
    assert len(described) >= 5
    for plot in described:
        (settings,) = plot.values()
        for path, columns in settings["y"].items():
            _, _, name, *below = Path(path).parts
            rows = table(builds[name].root.joinpath(*below))
            wanted = {settings["x"], *([columns] if isinstance(columns, str) else columns)}
            assert wanted <= set(rows[0]), path
