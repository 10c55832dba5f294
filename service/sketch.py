"""What came to one version lately, as far as it takes to tell whether it is like what it learned.

Rows are kept in memory for a while and are never shown: what leaves are counts of many of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from service.sketch_reference import PREDICTION, FeatureReference, Reference

Floats = NDArray[np.float32]
# A model with many features keeps fewer rows.
_MOST_BYTES = 4 * 2**20
# Counts of fewer would be what somebody sent.
FEWEST_ROWS = 20
_MOST_WAITING = 128
# A text is many tokens, alike within it.
_TOKENS_PER_ROW = 8


class FeatureSketch(BaseModel):
    """How often each bin occurred in training, and lately."""

    name: str
    edges: list[float]
    reference: list[int]
    live: list[int]


class VersionSketch(BaseModel):
    """Counts of what came to a version lately; ``rows`` are counted, from ``oldest`` to ``newest``.

    None are while there are so few that their counts would tell what one of them was.
    """

    model: str
    version: str
    rows: int = 0
    oldest: float | None = None
    newest: float | None = None
    features: list[FeatureSketch]
    prediction: FeatureSketch


class Ring:
    """The last rows of ``width`` numbers each, with the time of each. One thread adds."""

    def __init__(self, width: int, capacity: int) -> None:
        self._rows = np.zeros((capacity, width), np.float32)
        self._times = np.zeros(capacity)
        self._next = 0

    def add(self, rows: NDArray[Any], times: NDArray[np.float64]) -> None:
        """Keep (n, width) numbers of (n,) times, in the place of the oldest."""
        capacity = len(self._times)
        rows, times = rows[-capacity:], times[-capacity:]
        start, count = self._next, len(rows)
        end = start + count
        if end <= capacity:
            self._rows[start:end] = rows
            self._times[start:end] = times
        else:
            first = capacity - start
            self._rows[start:], self._rows[: end - capacity] = rows[:first], rows[first:]
            self._times[start:], self._times[: end - capacity] = times[:first], times[first:]
        self._next = end % capacity

    def since(self, oldest: float) -> tuple[Floats, NDArray[np.float64]]:
        """Copies of the rows and times from ``oldest`` on, in no order."""
        kept = self._times > max(oldest, 0.0)
        return self._rows[kept], self._times[kept]


@dataclass(frozen=True)
class Taken:
    """What a sketch held at one moment, for counting in another thread."""

    sketch: Sketch
    inputs: tuple[Floats, NDArray[np.float64]]
    predictions: tuple[Floats, NDArray[np.float64]]

    def count(self, model: str, version: str) -> VersionSketch:
        """Counts of all of it, or of nothing if it is little."""
        reference = self.sketch.reference
        (inputs, _), (predictions, times) = self.inputs, self.predictions
        rows = min(len(inputs), len(predictions))
        if rows < FEWEST_ROWS:
            rows, inputs, predictions = 0, inputs[:0], predictions[:0]
        classes = len(reference.prediction)
        # Classes and groups are whole numbers from 0 on.
        prediction = FeatureReference.model_construct(
            name=PREDICTION,
            edges=[index + 0.5 for index in range(classes - 1)],
            counts=reference.prediction,
        )
        return VersionSketch(
            model=model,
            version=version,
            rows=rows,
            oldest=float(times.min()) if rows else None,
            newest=float(times.max()) if rows else None,
            features=[
                _count(feature, inputs[:, index])
                for index, feature in enumerate(reference.features)
            ],
            prediction=_count(prediction, predictions[:, 0]),
        )


class Sketch:
    """The last inputs and predictions of one version. The event loop adds and takes."""

    def __init__(
        self,
        reference: Reference,
        *,
        rows: int,
        seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.reference = reference
        self._seconds = seconds
        self._clock = clock
        width = len(reference.features)
        most = rows
        if reference.groups:
            most = rows * _TOKENS_PER_ROW
            self._groups = np.asarray(reference.groups, np.float32)
        capacity = max(FEWEST_ROWS, min(most, _MOST_BYTES // (4 * width)))
        self._inputs = Ring(width, capacity)
        self._predictions = Ring(1, capacity)
        # Of classifiers, not yet in the rings: for many at a time that takes as long as for one.
        self._waiting: list[tuple[Floats, NDArray[np.int64], float]] = []
        self._rows_waiting = 0

    def rows(self, rows: Floats, labels: NDArray[np.int64]) -> None:
        """Remember what a classifier was asked, and its answer to each row."""
        self._waiting.append((rows, labels, self._clock()))
        self._rows_waiting += len(labels)
        if self._rows_waiting >= _MOST_WAITING:
            self._add_waiting()

    def tokens(self, prompt: Sequence[int], answer: Sequence[int]) -> None:
        """Remember the tokens of a prompt and of its answer, as their groups."""
        now = self._clock()
        for ring, tokens in ((self._inputs, prompt), (self._predictions, answer)):
            if tokens:
                ring.add(self._groups[np.asarray(tokens)][:, None], np.full(len(tokens), now))

    def take(self) -> Taken:
        """What is there now and not too old."""
        self._add_waiting()
        oldest = self._clock() - self._seconds
        return Taken(self, self._inputs.since(oldest), self._predictions.since(oldest))

    def _add_waiting(self) -> None:
        waiting, self._waiting, self._rows_waiting = self._waiting, [], 0
        if waiting:
            rows, labels, moments = zip(*waiting, strict=True)
            times = np.repeat(moments, [len(one) for one in labels])
            self._inputs.add(np.concatenate(rows), times)
            self._predictions.add(np.concatenate(labels)[:, None], times)


def _count(feature: FeatureReference, values: Floats) -> FeatureSketch:
    bins = np.searchsorted(np.asarray(feature.edges), values, side="left")
    live = np.bincount(bins, minlength=len(feature.counts))
    return FeatureSketch.model_construct(
        name=feature.name,
        edges=feature.edges,
        reference=feature.counts,
        live=live.tolist(),
    )
