"""Rows at which a model decides: on its thresholds, edges and split values, and beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.preprocessing import Binarizer, KBinsDiscretizer

from importer.converters import forest_of
from importer.halving import BESIDE, Target, neighbours, whole
from importer.rows import SEED, Rows, as_given
from importer.source import Source
from importer.walk import Step, steps_of

# Thresholds that are tried, each at several values, in all and for each feature at least.
_MOST, _MOST_ROWS = 240, 3000
# Those behind other steps, which are asked for each of some fifty halvings.
_MOST_PULLED = 60
_MOST_STEPS = 400


def boundary_rows(source: Source, predict: Callable[[Any], Any], base: Rows) -> Rows | None:
    """Rows on and beside what the model decides at, or None where it decides at nothing known."""
    random = np.random.default_rng(SEED)
    positions = [k for k, column in enumerate(source.columns) if column.type != "string"]
    values: list[tuple[int, float, int]] = []
    pairs: list[tuple[int, int]] = []
    exact: list[Target] = []
    pulled: list[Target] = []
    for target in _targets(source, random):
        (exact if target.step.exact else pulled).append(target)
    for target in exact:
        if target.feature < len(target.step.positions):
            position = target.step.positions[target.feature]
            if source.columns[position].type != "string":
                values += [(position, one, -1) for one in _beside(target.value)]
    if len(pulled) > _MOST_PULLED:
        chosen = random.choice(len(pulled), _MOST_PULLED, replace=False)
        pulled = [pulled[k] for k in sorted(chosen)]
    for position, low, high, reference, blurred in neighbours(source, pulled, base, positions):
        if blurred:
            pairs.append((len(values), len(values) + 1))
        values += [(position, one, reference) for one in (low, high, *_plain(low))]
    for position in positions:
        for one in _natural(source, position, base):
            values.append((position, one, -1))
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
    for row, (position, value, _) in enumerate(kept):
        columns[position][row] = value
    partners = np.full(len(kept), -1)
    for one, other in pairs:
        if other < len(kept):
            partners[one], partners[other] = other, one
    columns = [whole(column, source, k) for k, column in enumerate(columns)]
    taken = Rows(columns, as_given(source, columns), partners)
    try:
        predict(taken.table)
    except Exception:
        # It takes no such numbers, as one that encodes them: single rows are tried elsewhere.
        return None
    return taken


def _targets(source: Source, random: np.random.Generator) -> list[Target]:
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
    result = []
    for (_, feature), (step, values, blurred) in list(groups.items())[:_MOST]:
        chosen = sorted(values)
        if len(chosen) > room:
            chosen = [chosen[k] for k in sorted(random.choice(len(chosen), room, replace=False))]
        result += [Target(step, feature, value, blurred) for value in chosen]
    return result


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
    result = []
    for feature, value in forest.thresholds():
        result.append((cut.get(feature, feature), value, double))
        if feature in cut:
            result += [(cut[feature], value + part, double) for part in (0.5, -0.5, 0.999)]
    return result


def _beside(value: float) -> list[float]:
    single = np.float32(value)
    digits = [float(np.nextafter(single, np.float32(end))) for end in (-np.inf, np.inf)]
    unit = digits[1] - float(single)
    near = [value + unit * part for part in BESIDE]
    return [
        value, float(np.nextafter(value, -np.inf)), float(np.nextafter(value, np.inf)),
        float(single), *digits, *near, *_plain(value),
    ]  # fmt: skip


def _plain(value: float) -> list[float]:
    """The same in a few decimals, as people write numbers."""
    return list({round(value, digits) for digits in (0, 1, 2, 3)})


def _natural(source: Source, position: int, base: Rows) -> list[float]:
    """Numbers of no special place: of the example, and zero."""
    column, drawn = source.columns[position], np.asarray(base.values[position])
    if column.type == "boolean":
        return []
    some = drawn[:10].astype(np.float64)
    return [0.0, *(round(float(one), 1) for one in some if np.isfinite(one))]
