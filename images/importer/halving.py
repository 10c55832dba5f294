"""Where the numbers of a request pass what a later step decides at, found by halving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from importer.rows import Rows, as_given, bounds
from importer.source import Source
from importer.walk import Step

# In units of the last digit of single precision: what is rounded to it moves half of one.
BESIDE = (-1.5, -0.75, -0.25, 0.25, 0.75, 1.5)
_STEPS = 64


@dataclass(frozen=True)
class Target:
    """A value of a step's feature that the model decides at."""

    step: Step
    feature: int
    value: float
    # Whether a row a last digit away may be answered otherwise, as what is before is rounded.
    blurred: bool


def whole(column: Any, source: Source, position: int) -> Any:
    """Integers where the signature has them."""
    kind = source.columns[position].type
    if kind in ("integer", "long"):
        return np.trunc(column)
    return column.astype(bool) if kind == "boolean" else column


def neighbours(
    source: Source, targets: list[Target], base: Rows, positions: list[int]
) -> list[tuple[int, float, float, int, bool]]:
    """Columns and two neighbouring values, between which a feature passes a target; and the row.

    What comes before a step is a black box: it is asked again and again, halving the interval.
    """
    result: list[tuple[int, float, float, int, bool]] = []
    by_step: dict[int, list[Target]] = {}
    for target in targets:
        by_step.setdefault(id(target.step.given), []).append(target)
    for group in by_step.values():
        try:
            result += _halve(source, group, base, positions)
        except Exception:  # noqa: S112
            # A step that does not take these values is not decided at by them.
            continue
    return result


def _halve(
    source: Source, targets: list[Target], base: Rows, positions: list[int]
) -> list[tuple[int, float, float, int, bool]]:
    given = targets[0].step.given

    def features(column: NDArray[Any], value: NDArray[Any]) -> NDArray[Any]:
        columns = [np.repeat(np.asarray(drawn)[:1], len(column)) for drawn in base.values]
        for position in positions:
            changed = columns[position].astype(np.float64)
            columns[position] = np.where(column == position, value, changed)
        columns = [whole(c, source, k) if k in positions else c for k, c in enumerate(columns)]
        made = given(as_given(source, columns))
        made = made.toarray() if hasattr(made, "toarray") else np.asarray(made)
        numbers: NDArray[Any] = made.astype(np.float64)
        return numbers

    ends = np.array([bounds(source.columns[p], np.asarray(base.values[p])) for p in positions])
    at = np.array(positions)
    lows, highs = features(at, ends[:, 0]), features(at, ends[:, 1])
    wanted: list[tuple[int, int, float, float, float, bool]] = []
    for target in targets:
        if target.feature >= lows.shape[1]:
            continue
        low, high = lows[:, target.feature], highs[:, target.feature]
        over = (np.minimum(low, high) <= target.value) & (target.value < np.maximum(low, high))
        for k in np.flatnonzero(over)[:1]:
            unit = float(np.spacing(np.float32(abs(target.value))))
            for part in (0.0, *BESIDE):
                wanted.append(
                    (int(at[k]), target.feature, target.value + part * unit, ends[k, 0],
                     ends[k, 1], target.blurred and part == 0.0)
                )  # fmt: skip
    if not wanted:
        return []
    column = np.array([one[0] for one in wanted])
    feature = np.array([one[1] for one in wanted])
    value, low, high = (np.array([one[k] for one in wanted], np.float64) for k in (2, 3, 4))
    rows = np.arange(len(wanted))
    begins = features(column, low)[rows, feature] <= value
    for _ in range(_STEPS):
        middle = low + (high - low) / 2
        same = (features(column, middle)[rows, feature] <= value) == begins
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return [
        (int(column[k]), float(low[k]), float(high[k]), 0, wanted[k][5]) for k in range(len(wanted))
    ]
