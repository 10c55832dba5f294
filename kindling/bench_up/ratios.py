"""The present checkout beside its baseline: five ratios, and how large each may be."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kindling.bench_up.record import Measurement


@dataclass(frozen=True)
class Ratio:
    """Present divided by baseline: the median of runs in which both were measured."""

    name: str
    value: float
    limit: float

    @property
    def met(self) -> bool:
        return self.value <= self.limit


@dataclass(frozen=True)
class _Judged:
    limit: float
    figure: Callable[[Measurement], float | None]


_JUDGED = {
    "cold cluster-up": _Judged(0.45, lambda m: m.cold.seconds if m.cold else None),
    "unchanged cluster-up": _Judged(
        0.30, lambda m: m.unchanged_median.seconds if m.unchanged_median else None
    ),
    "caches": _Judged(0.40, lambda m: m.cache_bytes),
    "tests": _Judged(0.33, lambda m: m.tests.seconds if m.tests else None),
    "fast tests": _Judged(0.40, lambda m: m.fast_tests.seconds if m.fast_tests else None),
}


def ratios(measurements: Sequence[Measurement]) -> list[Ratio]:
    """Those of the ratios for which at least one run has both figures."""
    by_run: dict[int, dict[str, Measurement]] = {}
    for measurement in measurements:
        by_run.setdefault(measurement.run, {})[measurement.build] = measurement
    pairs = [run for run in by_run.values() if len(run) == 2]
    found = []
    for name, judged in _JUDGED.items():
        values = []
        for pair in pairs:
            present, baseline = judged.figure(pair["present"]), judged.figure(pair["baseline"])
            if present is not None and baseline:
                values.append(present / baseline)
        if values:
            found.append(Ratio(name, statistics.median(values), judged.limit))
    return found
