"""Tables with a row for the last two tokens, three tokens and so on: learned without matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.text.batch import Batch, Floats, Ints

# A prime, so that few of what is common share a row.
_PRIME = 1031


@dataclass(frozen=True)
class RowGradient:
    """The gradient of the rows ``index``, each there once; that of all others is zero."""

    index: Ints
    values: Floats


def multipliers(length: int) -> list[int]:
    """Of the last ``length`` tokens, the last one's first: their sum of products names the row."""
    return [_PRIME**distance for distance in range(length)]


def rows(batch: Batch, length: int, table: int) -> Ints:
    """For each token the row that it and those before it have in a table of so many rows.

    What would be before the beginning of a text counts as PAD, which is 0.
    """
    found = np.zeros_like(batch.tokens)
    for distance, multiplier in enumerate(multipliers(length)):
        there = batch.places[distance:] >= distance
        found[distance:] += multiplier * there * batch.tokens[: len(there)]
    return found % table


def gradient(index: Ints, by_output: Floats) -> RowGradient:
    """From the loss by what was taken from the rows ``index``."""
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    return RowGradient(ordered[first], np.add.reduceat(by_output[order], first))
