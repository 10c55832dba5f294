"""reference.json: the training data in bins, as it is."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline import digits, reference, stages, text
from pipeline.digits import preparation
from pipeline.text import tokenizer
from pipeline.text.preparation import read

FINITE = st.floats(-1e6, 1e6, width=32)


def built(model: Any, folder: Path, chosen: Any) -> stages.Build:
    build = stages.Build(folder)
    stages.prepare(model, build, chosen)
    stages.train(model, build, chosen)
    stages.evaluate(model, build)
    return build


def test_whole_numbers_in_a_small_range_have_a_bin_each() -> None:
    inner = reference.edges(np.array([3, 0, 2, 0]))
    assert inner == [0.5, 1.5, 2.5]
    assert reference.feature("a", np.array([3, 0, 2, 0, 9]), inner) == {
        "name": "a",
        "edges": inner,
        "counts": [2, 0, 1, 2],
    }


def test_other_numbers_have_bins_of_about_equal_count() -> None:
    values = np.random.default_rng(1).normal(size=10_000)
    inner = reference.edges(values)
    counts = reference.feature("a", values, inner)["counts"]
    assert len(counts) == reference.MOST_BINS
    assert min(counts) > 250
    assert max(counts) < 400


@given(arrays.arrays(np.float32, st.integers(1, 60), elements=FINITE))
def test_edges_ascend_and_every_value_is_counted(values: Any) -> None:
    inner = reference.edges(values)
    assert len(inner) < reference.MOST_BINS
    assert all(low < high for low, high in pairwise(inner))
    assert sum(reference.feature("a", values, inner)["counts"]) == len(values)


@given(arrays.arrays(np.int64, st.integers(1, 200), elements=st.integers(0, 5000)))
def test_groups_are_few_and_the_commonest_come_first(counts: Any) -> None:
    groups = reference.groups(counts)
    assert sorted(set(groups.tolist())) == list(range(groups.max() + 1))
    assert groups.max() < reference.MOST_BINS
    for group in range(groups.max()):
        assert counts[groups == group].min() >= counts[groups == group + 1].max()


def test_the_digits_reference_is_of_the_training_images_only(tmp_path: Path) -> None:
    # A small network: what it knows does not matter here.
    chosen = digits.Params(
        digits.params.Prepare(seed=1, held_out_share=0.2),
        digits.params.Train(seed=1, hidden=(8,), rounds=2),
        gate={},
    )
    build = built(digits, tmp_path, chosen)
    written = json.loads((build.evaluation / "reference.json").read_text())
    train = preparation.read(build.data, "train")
    assert [one["name"] for one in written["features"]] == [f"pixel_{n}" for n in range(64)]
    for one, column in zip(written["features"], train.pixels.T, strict=True):
        assert one["edges"] == [value + 0.5 for value in range(16)]
        assert one["counts"] == np.bincount(column.astype(int), minlength=17).tolist()
    session = ort.InferenceSession(build.model / "model.onnx", providers=["CPUExecutionProvider"])
    labels, _ = session.run(None, {session.get_inputs()[0].name: train.pixels})
    assert written["prediction"] == np.bincount(labels, minlength=10).tolist()
    stages.assemble(digits, build, tmp_path / "package")
    assert (tmp_path / "package" / "reference.json").exists()


@pytest.fixture(scope="module")
def text_build(tmp_path_factory: pytest.TempPathFactory) -> stages.Build:
    return built(text, tmp_path_factory.mktemp("text"), text.TINY)


def test_the_text_reference_counts_tokens_in_groups(text_build: stages.Build) -> None:
    written = json.loads((text_build.evaluation / "reference.json").read_text())
    tokens = tokenizer.load(text_build.model / "tokenizer.model")
    seen = np.concatenate(tokenizer.encode(tokens, read(text_build.data, "train")))
    groups = np.array(written["groups"])
    assert len(groups) == tokens.vocab_size()
    (feature,) = written["features"]
    assert feature["name"] == "tokens"
    assert feature["counts"] == np.bincount(groups[seen]).tolist()
    assert len(written["prediction"]) == len(feature["counts"])


def test_what_the_text_model_draws_is_like_what_it_learned_from(text_build: stages.Build) -> None:
    written = json.loads((text_build.evaluation / "reference.json").read_text())
    drawn, seen = (np.array(x) for x in (written["prediction"], written["features"][0]["counts"]))
    assert drawn.sum() > 500
    assert np.abs(drawn / drawn.sum() - seen / seen.sum()).sum() < 0.5
