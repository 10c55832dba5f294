"""Rows at which a model decides: on its thresholds, edges and split values, and beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import Binarizer, KBinsDiscretizer

from importer.converters import forest_of
from importer.rows import SEED, Rows, as_given, bounds
from importer.source import Source
from importer.walk import Step, steps_of

# Thresholds that are tried, each at several values, in all and for each feature at least.
_MOST, _MOST_ROWS = 240, 3000
# Those behind other steps, which are asked for each of some fifty halvings.
_MOST_PULLED = 60
# In units of the last digit of single precision: what is rounded to it moves half of one.
_BESIDE = (-1.5, -0.75, -0.25, 0.25, 0.75, 1.5)
_STEPS, _MOST_STEPS = 64, 400


@dataclass(frozen=True)
class _Target:
    """A value of a step's feature that the model decides at."""

    step: Step
    feature: int
    value: float
    # Whether a row a last digit away may be answered otherwise, as what is before is rounded.
    blurred: bool


def boundary_rows(source: Source, predict: Callable[[Any], Any], base: Rows) -> Rows | None:
    """Rows on and beside what the model decides at, or None where it decides at nothing known."""
    random = np.random.default_rng(SEED)
    places = [k for k, column in enumerate(source.columns) if column.type != "string"]
    values: list[tuple[int, float, int]] = []
    pairs: list[tuple[int, int]] = []
    exact: list[_Target] = []
    pulled: list[_Target] = []
    for target in _targets(source, random):
        (exact if target.step.exact else pulled).append(target)
    for target in exact:
        if target.feature < len(target.step.places):
            place = target.step.places[target.feature]
            if source.columns[place].type != "string":
                values += [(place, one, -1) for one in _beside(target.value)]
    if len(pulled) > _MOST_PULLED:
        chosen = random.choice(len(pulled), _MOST_PULLED, replace=False)
        pulled = [pulled[k] for k in sorted(chosen)]
    for place, low, high, reference, blurred in _pulled(source, pulled, base, places):
        if blurred:
            pairs.append((len(values), len(values) + 1))
        values += [(place, one, reference) for one in (low, high, *_plain(low))]
    for place in places:
        for one in _natural(source, place, base):
            values.append((place, one, -1))
    kept = values[:_MOST_ROWS]
    if not kept:
        return None
    rows = random.integers(0, len(base), len(kept))
    rows = np.where([one[2] >= 0 for one in kept], [one[2] for one in kept], rows)
    columns = [np.asarray(column)[rows] for column in base.values]
    columns = [
        column if source.columns[k].type in ("string", "boolean") else column.astype(np.float64)
        for k, column in enumerate(columns)
    ]
    for row, (place, value, _) in enumerate(kept):
        columns[place][row] = value
    partners = np.full(len(kept), -1)
    for one, other in pairs:
        if other < len(kept):
            partners[one], partners[other] = other, one
    columns = [_whole(column, source, k) for k, column in enumerate(columns)]
    taken = Rows(columns, as_given(source, columns), partners)
    try:
        predict(taken.table)
    except Exception:
        # It takes no such numbers, as one that encodes them: single rows are tried elsewhere.
        return None
    return taken


def _targets(source: Source, random: np.random.Generator) -> list[_Target]:
    """Values that the model decides at, as many of each feature as there is room for."""
    groups: dict[tuple[int, int], tuple[Step, set[float], bool]] = {}
    names = [column.name for column in source.columns]
    for number, step in enumerate(steps_of(source.model, names)):
        for feature, value, blurred in _decides_at(step.estimator):
            if np.isfinite(value):
                # Parts of one ensemble share what they are given.
                key = (id(step.given), feature)
                groups.setdefault(key, (step, set(), blurred))[1].add(value)
        if number > _MOST_STEPS:
            break
    if not groups:
        return []
    room = max(1, _MOST // len(groups))
    found = []
    for (_, feature), (step, values, blurred) in list(groups.items())[:_MOST]:
        chosen = sorted(values)
        if len(chosen) > room:
            chosen = [chosen[k] for k in sorted(random.choice(len(chosen), room, replace=False))]
        found += [_Target(step, feature, value, blurred) for value in chosen]
    return found


def _decides_at(estimator: Any) -> list[tuple[int, float, bool]]:
    """Features, values, and whether those are compared in double precision."""
    if isinstance(estimator, Binarizer):
        count = int(getattr(estimator, "n_features_in_", 0))
        return [(feature, float(estimator.threshold), True) for feature in range(count)]
    if isinstance(estimator, KBinsDiscretizer):
        edges = getattr(estimator, "bin_edges_", ())
        return [(k, float(edge), True) for k, one in enumerate(edges) for edge in one]
    try:
        forest = forest_of(estimator)
    except Exception:
        return []
    double = forest.precision is np.float64 and not forest.rounds
    count = max([feature for feature, _ in forest.thresholds()], default=0) + 1
    cut = {count - len(forest.truncated) + k: one for k, one in enumerate(forest.truncated)}
    found = []
    for feature, value in forest.thresholds():
        found.append((cut.get(feature, feature), value, double))
        if feature in cut:
            found += [(cut[feature], value + part, double) for part in (0.5, -0.5, 0.999)]
    return found


def _beside(value: float) -> list[float]:
    single = np.float32(value)
    digits = [float(np.nextafter(single, np.float32(end))) for end in (-np.inf, np.inf)]
    unit = digits[1] - float(single)
    near = [value + unit * part for part in _BESIDE]
    return [
        value, float(np.nextafter(value, -np.inf)), float(np.nextafter(value, np.inf)),
        float(single), *digits, *near, *_plain(value),
    ]  # fmt: skip


def _plain(value: float) -> list[float]:
    """The same in a few decimals, as people write numbers."""
    return list({round(value, digits) for digits in (0, 1, 2, 3)})


def _natural(source: Source, place: int, base: Rows) -> list[float]:
    """Numbers of no special place: of the example, and zero."""
    column, drawn = source.columns[place], np.asarray(base.values[place])
    if column.type == "boolean":
        return []
    some = drawn[:10].astype(np.float64)
    return [0.0, *(round(float(one), 1) for one in some if np.isfinite(one))]


def _whole(column: Any, source: Source, place: int) -> Any:
    """Integers where the signature has them."""
    kind = source.columns[place].type
    if kind in ("integer", "long"):
        return np.trunc(column)
    return column.astype(bool) if kind == "boolean" else column


def _pulled(
    source: Source, targets: list[_Target], base: Rows, places: list[int]
) -> list[tuple[int, float, float, int, bool]]:
    """Columns and two neighbouring values, between which a feature passes a target; and the row.

    What comes before a step is a black box: it is asked again and again, halving the interval.
    """
    found: list[tuple[int, float, float, int, bool]] = []
    by_step: dict[int, list[_Target]] = {}
    for target in targets:
        by_step.setdefault(id(target.step.given), []).append(target)
    for group in by_step.values():
        try:
            found += _halve(source, group, base, places)
        except Exception:  # noqa: S112
            # A step that does not take these values is not decided at by them.
            continue
    return found


def _halve(
    source: Source, targets: list[_Target], base: Rows, places: list[int]
) -> list[tuple[int, float, float, int, bool]]:
    given = targets[0].step.given

    def features(column: NDArray[Any], value: NDArray[Any]) -> NDArray[Any]:
        columns = [np.repeat(np.asarray(drawn)[:1], len(column)) for drawn in base.values]
        for place in places:
            changed = columns[place].astype(np.float64)
            columns[place] = np.where(column == place, value, changed)
        columns = [_whole(c, source, k) if k in places else c for k, c in enumerate(columns)]
        made = given(as_given(source, columns))
        made = made.toarray() if hasattr(made, "toarray") else np.asarray(made)
        numbers: NDArray[Any] = made.astype(np.float64)
        return numbers

    ends = np.array([bounds(source.columns[p], np.asarray(base.values[p])) for p in places])
    at = np.array(places)
    lows, highs = features(at, ends[:, 0]), features(at, ends[:, 1])
    wanted: list[tuple[int, int, float, float, float, bool]] = []
    for target in targets:
        if target.feature >= lows.shape[1]:
            continue
        low, high = lows[:, target.feature], highs[:, target.feature]
        over = (np.minimum(low, high) <= target.value) & (target.value < np.maximum(low, high))
        for k in np.flatnonzero(over)[:1]:
            unit = float(np.spacing(np.float32(abs(target.value))))
            for part in (0.0, *_BESIDE):
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
