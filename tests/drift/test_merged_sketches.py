"""Replicas' sketches: together what one replica would have said, and nothing is taken on trust."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from drift_samples import answer, drawn, merged, reference
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.errors import CallFailedError
from drift.sketches import merge, parse

PART = {"name": "a", "edges": [0.5], "reference": [1, 1], "live": [0, 0]}
GOOD = {"model": "m", "version": "1", "rows": 0, "features": [PART], "prediction": PART}


@given(st.lists(st.integers(20, 200), min_size=1, max_size=4), st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_replicas_say_together_what_one_would_say(sizes: list[int], seed: int) -> None:
    rows, labels = drawn(sum(sizes), seed=seed)
    cuts = np.cumsum(sizes)[:-1]
    parts = zip(np.split(rows, cuts), np.split(labels, cuts), strict=True)
    together, alone = merged(*(answer(*part) for part in parts)), merged(answer(rows, labels))
    assert together.replicas == len(sizes)
    assert together.rows == alone.rows == len(rows)
    for one, other in zip(
        (*together.features, together.prediction), (*alone.features, alone.prediction), strict=True
    ):
        assert (one.name, one.edges) == (other.name, other.edges)
        assert one.live.tolist() == other.live.tolist()
        assert one.reference.tolist() == other.reference.tolist()


def test_versions_are_kept_apart() -> None:
    rows, labels = drawn(100)
    answers = [answer(rows, labels, version=version) for version in ("2", "1", "2")]
    found = merge([parse(content) for content in answers])
    assert [(each.version, each.rows) for each in found] == [("1", 100), ("2", 200)]


def test_a_replica_with_another_reference_of_the_version_is_left_out() -> None:
    rows, labels = drawn(100)
    other = answer(rows, labels, reference=reference(("a", "c")))
    for order in (1, -1):
        answers = [other, answer(rows, labels), answer(rows, labels)][::order]
        (found,) = merge([parse(content) for content in answers])
        assert [feature.name for feature in found.features] == ["a", "b"]
        assert found.rows == 200


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"sketches": [' + b"1," * 100_000 + b"1]}",
        json.dumps({"sketches": [GOOD] * 65}).encode(),
        *(
            json.dumps({"sketches": [GOOD | changes]}).encode()
            for changes in (
                {"features": []},
                {"rows": -1},
                {"rows": "7"},
                {"prediction": PART | {"live": [1]}},
                {"prediction": PART | {"reference": [0, 0]}},
                {"features": [PART | {"live": [1, 2**60]}]},
                {"features": [PART | {"edges": []}]},
            )
        ),
    ],
)
def test_an_answer_that_holds_no_sketches_is_a_failure(content: bytes) -> None:
    with pytest.raises(CallFailedError, match="holds no sketches"):
        parse(content)


def test_an_answer_without_models_is_none() -> None:
    assert parse(b'{"sketches": []}') == []
    good: Any = json.dumps({"sketches": [GOOD]}).encode()
    assert len(parse(good)) == 1
