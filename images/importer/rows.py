"""Rows that a model and its graph are both asked, the same ones each time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from importer.categories import categories_of, takes_texts, words_of
from importer.columns import Column, table, values
from importer.errors import RefusedError, one_line
from importer.source import Source
from importer.texts import random_texts

ROWS, SEED = 1000, 20_240_229
_MOST_ENCODED = 12
UNKNOWN = "-no such category-"
_WORDS = ("", "a", "of the", "Zürich", "one two three")


@dataclass(frozen=True)
class Rows:
    """Columns of values as the service has them, and what of them the model is given.

    ``partners`` are the places of rows a step of the last digit away, on the other side of a
    decision: where what comes before it is rounded, a row may be answered as its partner.
    """

    values: list[Any]
    table: Any
    partners: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.values[0])


def as_given(source: Source, columns: list[Any]) -> Any:
    """What the model itself is given for columns of values."""
    if not source.tensor and len(columns) == 1 and takes_texts(source.model):
        return pd.Series(list(columns[0]), name=source.columns[0].name)
    return table(source.columns, columns, source.tensor)


def example(source: Source) -> Rows | None:
    """The input example, but for rows without a string, which no request can have.

    Raises RefusedError.
    """
    if source.example is None:
        return None
    columns = values(source.example, source.columns)
    whole = np.ones(len(columns[0]), bool)
    for column, drawn in zip(source.columns, columns, strict=True):
        if column.type == "string":
            whole &= ~pd.isna(drawn)
    columns = [drawn[whole] for drawn in columns]
    return Rows(columns, as_given(source, columns)) if whole.any() else None


def random_rows(source: Source, predict: Callable[[Any], Any], count: int = ROWS) -> Rows:
    """``count`` rows that the model answers: near its example, and of categories it knows.

    The widest choice that ``predict`` takes is used. Raises RefusedError if it takes none.
    """
    names = [column.name for column in source.columns]
    categories, words = categories_of(source.model, names), words_of(source.model, names)
    known = example(source)
    failed: Exception | None = None
    for unknown in (0.05, 0.0):
        random = np.random.default_rng(SEED)
        drawn = [
            random_texts(random, count, words[place], list(known.values[place]) if known else [])
            if place in words
            else _draw(random, column, count, categories.get(place), unknown,
                       known.values[place] if known else None)
            for place, column in enumerate(source.columns)
        ]  # fmt: skip
        given = as_given(source, drawn)
        try:
            predict(given)
            return Rows(drawn, given)
        except Exception as error:
            failed = error
    if source.saved and source.saved != source.library:
        raise RefusedError(
            f"it was saved with {source.saved}, is loaded by {source.library}, and then fails to"
            f" predict: {type(failed).__name__}: {one_line(failed)}",
            f"train and log it again with {source.library}",
        ) from failed
    raise RefusedError(
        f"the model itself fails on random rows of its signature: {one_line(failed)}",
        "log it with an input_example of some dozen rows, so that rows like those are tried",
    ) from failed


def odd_rows(source: Source, base: Rows) -> list[Rows]:
    """Single rows whose category is unknown, or a number between known ones or beyond them."""
    names = [column.name for column in source.columns]
    found = []
    for place, known in list(categories_of(source.model, names).items())[:_MOST_ENCODED]:
        column = source.columns[place]
        if column.type == "boolean" or not known:
            continue
        for one in _odd(column, known):
            columns = [np.asarray(drawn, object)[:1] for drawn in base.values]
            columns[place] = np.array([one], object)
            columns = [
                drawn if c.type == "string" else drawn.astype(np.float64)
                for c, drawn in zip(source.columns, columns, strict=True)
            ]
            found.append(Rows(columns, as_given(source, columns)))
    return found


def _odd(column: Column, known: Sequence[Any]) -> list[Any]:
    if column.type == "string":
        first = str(known[0])
        return [one for one in (UNKNOWN, "", first.swapcase(), f" {first}") if one not in known]
    numbers = sorted(float(one) for one in known)
    odd = [numbers[0] - 1, numbers[-1] + 1]
    if column.type in ("integer", "long"):
        return odd
    middle = [(low + high) / 2 for low, high in itertools.pairwise(numbers)]
    return [*odd, *middle[:2], numbers[0] + 0.25, numbers[-1] + 0.75]


def _draw(
    random: np.random.Generator, column: Column, count: int, known: Sequence[Any] | None,
    unknown: float, example: NDArray[Any] | None,
) -> Any:  # fmt: skip
    if column.type == "boolean":
        return random.random(count) < 0.5
    if known is not None and len(known):
        drawn = [known[k] for k in random.integers(0, len(known), count)]
        if column.type == "string":
            return [UNKNOWN if random.random() < unknown else str(one) for one in drawn]
        return np.array(drawn).astype(np.float64)
    if column.type == "string":
        words = list(_WORDS) if example is None else [str(one) for one in example]
        return [words[k] for k in random.integers(0, len(words), count)]
    low, high = bounds(column, example)
    if column.type in ("integer", "long"):
        return random.integers(int(low), int(high) + 1, count)
    return random.uniform(low, high, count)


def bounds(column: Column, example: NDArray[Any] | None) -> tuple[float, float]:
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
