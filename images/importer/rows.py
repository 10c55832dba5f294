"""Random rows of a model's signature, the same ones each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from importer.categories import categories_of
from importer.columns import Column, table, values
from importer.errors import RefusedError, one_line
from importer.source import Source

ROWS, SEED = 1000, 20_240_229
_UNKNOWN = "-no such category-"
_WORDS = ("", "a", "of the", "Zürich", "one two three")


def example(source: Source) -> Any:
    """The input example in the form that the model is given, or None. Raises RefusedError."""
    if source.example is None:
        return None
    return table(source.columns, values(source.example, source.columns), source.tensor)


def random_rows(source: Source, predict: Any, count: int = ROWS) -> Any:
    """``count`` rows that the model answers: near its example, and of categories it knows.

    The widest choice that ``predict`` takes is used. Raises RefusedError if it takes none.
    """
    categories = categories_of(source.model, [column.name for column in source.columns])
    examples: list[NDArray[Any]] | None = None
    if source.example is not None:
        examples = values(source.example, source.columns)
    failed: Exception | None = None
    for unknown in (0.05, 0.0):
        random = np.random.default_rng(SEED)
        drawn = [
            _draw(random, column, count, categories.get(place), unknown,
                  examples[place] if examples else None)
            for place, column in enumerate(source.columns)
        ]  # fmt: skip
        given = table(source.columns, drawn, source.tensor)
        try:
            predict(given)
            return given
        except Exception as error:
            failed = error
    raise RefusedError(
        f"the model itself fails on random rows of its signature: {one_line(failed)}",
        "log it with an input_example of some dozen rows, so that rows like those are tried",
    ) from failed


def _draw(
    random: np.random.Generator, column: Column, count: int, known: Sequence[Any] | None,
    unknown: float, example: NDArray[Any] | None,
) -> Any:  # fmt: skip
    if column.type == "boolean":
        return random.random(count) < 0.5
    if known is not None and len(known):
        drawn = [known[k] for k in random.integers(0, len(known), count)]
        if column.type == "string":
            return [_UNKNOWN if random.random() < unknown else str(one) for one in drawn]
        return np.array(drawn)
    if column.type == "string":
        words = list(_WORDS) if example is None else [str(one) for one in example]
        return [words[k] for k in random.integers(0, len(words), count)]
    low, high = _range(column, example)
    if column.type in ("integer", "long"):
        return random.integers(int(low), int(high) + 1, count)
    return random.uniform(low, high, count)


def _range(column: Column, example: NDArray[Any] | None) -> tuple[float, float]:
    """Bounds for numbers: those of the example, with as much again on either side."""
    numbers = np.zeros(0) if example is None else example.astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return (0, 10) if column.type in ("integer", "long") else (-10, 10)
    low, high = float(numbers.min()), float(numbers.max())
    more = max(high - low, abs(high) / 2, 1.0)
    wide = (low - more, high + more)
    # Counts and amounts stay what they are: many a model takes no number below zero.
    low, high = (max(wide[0], 0.0), wide[1]) if low >= 0 else wide
    if column.type == "integer":
        return max(low, -(2**31)), min(high, 2**31 - 2)
    return max(low, -(2.0**62)), min(high, 2.0**62)
