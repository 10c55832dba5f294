"""The corpus: each model's graph says what the model says on rows that the importer never saw."""

from __future__ import annotations

import json
from typing import Any

import pytest
from converter import run
from corpus_table import CORPUS, TABLE, table

_FEWEST_MODELS, _FEWEST_CLASSES, _FEWEST_IMPORTED = 60, 35, 0.83


@pytest.fixture(scope="module")
def found() -> list[dict[str, Any]]:
    """What became of each model."""
    done = run(CORPUS)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_no_model_is_imported_wrongly(found: list[dict[str, Any]]) -> None:
    wrong = {one["name"]: one["wrong"] for one in found if any(one.get("wrong", ()))}
    assert wrong == {}


def test_most_common_models_are_imported(found: list[dict[str, Any]]) -> None:
    imported = [one for one in found if "wrong" in one]
    assert len(found) >= _FEWEST_MODELS
    assert len({name for one in found for name in one["classes"]}) >= _FEWEST_CLASSES
    assert len(imported) >= _FEWEST_IMPORTED * len(found)


def test_the_table_is_that_of_the_corpus(found: list[dict[str, Any]]) -> None:
    made = "PYTHONPATH=. python tests/importer/corpus_table.py makes it again"
    assert TABLE.read_text() == table(found), made
