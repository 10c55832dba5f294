"""Histograms that cost a request next to nothing: values are kept, and counted many at a time."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

_MOST_WAITING = 512
_Bucket = tuple[str, float] | tuple[str, float, Exemplar]


class Tally:
    """The series of one set of label values. One thread observes, any may collect."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds, self._upper = np.array(bounds), tuple(bounds)
        self._counts = np.zeros(len(bounds) + 1, np.int64)
        self._sum = 0.0
        self._waiting: list[float] = []
        # What an exemplar is made of, by the number of its bucket.
        self._examples: dict[int, tuple[dict[str, str], float, float]] = {}
        self._counting = threading.Lock()

    def observe(self, *values: float) -> None:
        """Count each value in the bucket with the least upper bound that is not below it."""
        self._waiting.extend(values)
        if len(self._waiting) >= _MOST_WAITING:
            self._count()

    def example(self, value: float, labels: dict[str, str], now: float) -> None:
        """Name what ``value`` was of, as the exemplar of its bucket, at the Unix time ``now``."""
        self._examples[bisect_left(self._upper, value)] = labels, value, now

    def collect(self) -> tuple[list[_Bucket], float]:
        """The cumulated buckets with their upper bounds, and the sum of all values."""
        self._count()
        with self._counting:
            counts, total = np.cumsum(self._counts).tolist(), self._sum
        names = [*map(floatToGoString, self._bounds.tolist()), "+Inf"]
        buckets: list[_Bucket] = []
        for index, (name, count) in enumerate(zip(names, counts, strict=True)):
            example = self._examples.get(index)
            buckets.append((name, count, Exemplar(*example)) if example else (name, count))
        return buckets, total

    def _count(self) -> None:
        with self._counting:
            # Each step is one of the interpreter's: what is observed meanwhile stays at the end.
            values = np.array(self._waiting)
            del self._waiting[: len(values)]
            buckets = np.searchsorted(self._bounds, values, side="left")
            self._counts += np.bincount(buckets, minlength=len(self._counts))
            self._sum += float(values.sum())


class Tallies(Collector):
    """A histogram with labels, as ``prometheus_client.Histogram`` has it to a scraper."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._documentation = name, documentation
        self._labels, self._buckets = tuple(labels), tuple(buckets)
        self._tallies: dict[tuple[str, ...], Tally] = {}
        registry.register(self)

    def labels(self, *values: str) -> Tally:
        """The series of these values, made if it is not there."""
        if values not in self._tallies:
            self._tallies[values] = Tally(self._buckets)
        return self._tallies[values]

    def remove(self, *values: str) -> None:
        """Forget a series."""
        self._tallies.pop(values, None)

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """For the registry, which refuses a second metric of the name."""
        return [self._family()]

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """For the registry, at each scrape."""
        family = self._family()
        # A copy in one step: a version may come or go meanwhile.
        for values, tally in tuple(self._tallies.items()):
            buckets, total = tally.collect()
            family.add_metric(values, buckets, total)
        return [family]

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
