"""The steps of a model, with the part of its input that each of them is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils import _safe_indexing

from importer.trees import BAGGED, GRADIENT

# Their trees are seen as one forest.
_WHOLE = (*BAGGED, *GRADIENT)
Transform = Callable[[Any], Any]


@dataclass(frozen=True)
class Step:
    """An estimator within a model; ``given`` makes its input of the model's.

    ``exact`` where that only chooses columns. ``positions`` are then those of the model's columns,
    empty where they are not known.
    """

    estimator: Any
    given: Transform
    exact: bool
    positions: tuple[int, ...]


def steps_of(model: Any, names: list[str]) -> Iterator[Step]:
    """Every fitted estimator within ``model``, from the outside in."""
    yield from _walk(Step(model, lambda table: table, True, tuple(range(len(names)))), names, set())


def _walk(step: Step, names: list[str], seen: set[int]) -> Iterator[Step]:
    if id(step.estimator) in seen:
        return
    seen.add(id(step.estimator))
    yield step
    estimator = step.estimator
    if isinstance(estimator, Pipeline):
        for _, part in estimator.steps:
            if not isinstance(part, BaseEstimator):
                continue
            step = Step(part, step.given, step.exact, step.positions)
            yield from _walk(step, names, seen)
            if hasattr(part, "transform"):
                keeps = hasattr(part, "inverse_transform") or hasattr(part, "statistics_")
                step = Step(part, _after(step.given, part), False, step.positions if keeps else ())
    elif isinstance(estimator, ColumnTransformer):
        for _, part, chosen in estimator.transformers_:
            if isinstance(part, BaseEstimator):
                positions = _chosen(chosen, step.positions, names)
                inner = Step(part, _choose(step.given, chosen), step.exact, positions)
                yield from _walk(inner, names, seen)
    elif isinstance(estimator, FeatureUnion):
        for _, part in estimator.transformer_list:
            if isinstance(part, BaseEstimator):
                yield from _walk(Step(part, step.given, step.exact, step.positions), names, seen)
    elif not isinstance(estimator, _WHOLE):
        for part in _parts(estimator):
            yield from _walk(Step(part, step.given, step.exact, step.positions), names, seen)


def _parts(estimator: Any) -> Iterator[Any]:
    """Fitted estimators that another one is made of, whatever it calls them."""
    waiting = list(vars(estimator).values()) if hasattr(estimator, "__dict__") else []
    for value in waiting:
        if isinstance(value, BaseEstimator):
            yield value
        elif isinstance(value, (list, tuple, np.ndarray)):
            # Of arrays, only those of objects can hold estimators.
            parts = value if isinstance(value, np.ndarray) else np.array([*value, None], object)
            for one in np.ravel(parts) if parts.dtype.kind == "O" else ():
                if isinstance(one, BaseEstimator):
                    yield one
                elif type(one).__name__ == "_CalibratedClassifier":
                    yield one.estimator


def _after(given: Transform, part: Any) -> Transform:
    return lambda table: part.transform(given(table))


def _choose(given: Transform, chosen: Any) -> Transform:
    return lambda table: _safe_indexing(given(table), chosen, axis=1)


def _chosen(chosen: Any, positions: tuple[int, ...], names: list[str]) -> tuple[int, ...]:
    """The places of columns chosen by name, number, slice or mask."""
    if isinstance(chosen, str):
        return tuple(position for position in positions if names[position] == chosen)
    if isinstance(chosen, slice) and not isinstance(chosen.start, str):
        return positions[chosen]
    try:
        wanted = np.atleast_1d(np.asarray(chosen))
    except ValueError:
        return ()
    if wanted.dtype.kind in "OUT":
        by_name = {names[position]: position for position in positions}
        return tuple(by_name[str(one)] for one in wanted if str(one) in by_name)
    if wanted.dtype.kind == "b":
        return tuple(position for position, take in zip(positions, wanted, strict=False) if take)
    if wanted.dtype.kind in "iu":
        return tuple(
            positions[int(one)] for one in wanted if -len(positions) <= one < len(positions)
        )
    return ()
