"""Numbers over time: all series of a report, on one grid of seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests.samples import Samples
from loadtests.timeline import Moment, Timeline

Floats = NDArray[np.float64]
Column = list[float | None]

# A line of more points than this is not seen on any screen.
_MOST_POINTS = 3600
# One second has too few requests for a p99; it is taken from this many.
WINDOW_SECONDS = 5
# What a generator said of one second holds for the next, if it is late with that.
_FRESH_SECONDS = 1.0
PERCENTILES = {"p50": 50, "p90": 90, "p95": 95, "p99": 99}
_SHOWN = ("p50", "p95", "p99")


@dataclass(frozen=True)
class Grid:
    """``length`` cells of ``step`` seconds each, the first of which begins at ``start``."""

    start: int
    step: int
    length: int

    @classmethod
    def over(cls, begin: float, end: float) -> Grid:
        """Whole seconds from before ``begin`` to after ``end``, at least one."""
        start = math.floor(begin)
        seconds = max(1, math.ceil(end) - start)
        step = math.ceil(seconds / _MOST_POINTS)
        return cls(start, step, math.ceil(seconds / step))

    @property
    def begins(self) -> Floats:
        return self.start + self.step * np.arange(self.length, dtype=np.float64)

    def rate(self, times: Floats, counts: Floats | None = None) -> Floats:
        """How many of ``times`` lie in each cell, per second; ``counts``: what each stands for."""
        edges = self.start + self.step * np.arange(self.length + 1, dtype=np.float64)
        return np.histogram(times, edges, weights=counts)[0] / self.step

    def hold(self, moments: Sequence[Moment], key: str, fresh: float = math.inf) -> Floats:
        """What ``key`` was last at the end of each cell; NaN where nothing is known."""
        known = [(m.time, number(m.fields.get(key))) for m in moments if key in m.fields]
        if not known:
            return np.full(self.length, np.nan)
        times, values = np.array(known, dtype=np.float64).T
        last = np.searchsorted(times, self.begins + self.step, side="left") - 1
        held = values[np.maximum(last, 0)]
        stale = self.begins - times[np.maximum(last, 0)] > fresh
        return np.where((last < 0) | stale, np.nan, held)


def number(value: Any) -> float:
    """As a number; NaN for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return math.nan
    return float(value)


def column(values: Floats, digits: int = 3) -> Column:
    """For JSON: ``None`` where nothing is known."""
    return [round(float(v), digits) if math.isfinite(v) else None for v in values]


def load(grid: Grid, timeline: Timeline, samples: Samples) -> dict[str, Column]:
    """What the generator was to send, what became of it, and how it fared itself."""
    # What is told tells of the second before.
    moments = [Moment(m.time - 0.5, m.source, m.name, m.fields) for m in timeline.of("load")]
    processes = [[m for m in moments if m.name == name] for name in {m.name: 0 for m in moments}]

    def over(key: str, of: Callable[..., Floats]) -> Floats:
        held = [grid.hold(process, key, max(_FRESH_SECONDS, grid.step)) for process in processes]
        return of(np.array(held), axis=0) if held else np.full(grid.length, np.nan)

    rates = _answers(grid, samples) if len(samples) else _counted(grid, moments)
    columns = {
        "asked": over("asked", _sum), **rates, "in_flight": over("in_flight", _sum),
        "behind": over("behind", _max), "cpu": over("cpu", _max),
    }  # fmt: skip
    return {name: column(values) for name, values in columns.items()}


def _answers(grid: Grid, samples: Samples) -> dict[str, Floats]:
    ended = {o: samples.ended[samples.outcome == o] for o in ("failed", "wrong")}
    return {
        "sent": grid.rate(samples.started),
        "achieved": grid.rate(samples.ended),
        **{outcome: grid.rate(times) for outcome, times in ended.items()},
    }


def _counted(grid: Grid, moments: Sequence[Moment]) -> dict[str, Floats]:
    rates = {}
    keys = {"sent": "started", "achieved": "finished", "failed": "failed", "wrong": "wrong"}
    for name, key in keys.items():
        found = [(m.time, number(m.fields[key])) for m in moments if key in m.fields]
        times, counts = np.array(found, dtype=np.float64).reshape(-1, 2).T
        counted = grid.rate(times, np.nan_to_num(counts))
        rates[name] = counted if found else np.full(grid.length, np.nan)
    return rates


def _sum(rows: Floats, axis: int) -> Floats:
    known = np.isfinite(rows).any(axis=axis)
    return np.where(known, np.nansum(rows, axis=axis), np.nan)


def _max(rows: Floats, axis: int) -> Floats:
    known = np.isfinite(rows).any(axis=axis)
    return np.where(known, np.max(np.nan_to_num(rows, nan=-np.inf), axis=axis), np.nan)


def waited(samples: Samples) -> Floats:
    """Seconds until the answer; infinite for a request that failed, which never had one."""
    return np.where(samples.outcome == "failed", np.inf, samples.latency)


def percentiles(seconds: Floats, wanted: Sequence[int]) -> Floats:
    """Of requests that really were: none lies between two of them, as it would by default."""
    # As numpy's `method="higher"`, which takes a hundred times as long for a few numbers.
    ranks = np.ceil(np.array(wanted) / 100 * (len(seconds) - 1)).astype(np.int64)
    return np.sort(seconds)[ranks]


def latency(grid: Grid, samples: Samples) -> dict[str, Column]:
    """Percentiles in seconds of what was to be sent in the ``WINDOW_SECONDS`` before each end."""
    order = np.argsort(samples.intended, kind="stable")
    intended, seconds = samples.intended[order], waited(samples)[order]
    ends = grid.begins + grid.step
    first = np.searchsorted(intended, ends - max(WINDOW_SECONDS, grid.step), side="left")
    last = np.searchsorted(intended, ends, side="left")
    wanted = [PERCENTILES[name] for name in _SHOWN]
    found = np.full((grid.length, len(wanted)), np.nan)
    for cell, (a, b) in enumerate(zip(first, last, strict=True)):
        if b > a:
            found[cell] = percentiles(seconds[a:b], wanted)
    return {name: column(found[:, i], 5) for i, name in enumerate(_SHOWN)}


def scaled(timeline: Timeline) -> str | None:
    """The name of the Deployment that the report is about: the one with an autoscaler, if any."""
    for source in ("hpa", "deployment"):
        names = [moment.name for moment in timeline if moment.source == source]
        if names:
            return max(set(names), key=names.count)
    return None


def replicas(grid: Grid, timeline: Timeline) -> dict[str, Column]:
    """Pods that were wanted, that were ready, and the autoscaler's bounds."""
    name = scaled(timeline)
    hpa, deployment = timeline.of("hpa", name), timeline.of("deployment", name)
    columns = {
        "desired": grid.hold(hpa, "desired") if hpa else grid.hold(deployment, "wanted"),
        "ready": grid.hold(deployment or hpa, "ready" if deployment else "current"),
        "minimum": grid.hold(hpa, "minimum"),
        "maximum": grid.hold(hpa, "maximum"),
    }
    return {key: column(values) for key, values in columns.items()}


def scaling(grid: Grid, timeline: Timeline) -> dict[str, dict[str, Column]]:
    """Each metric that the autoscaler follows: its value and its target, in the metric's unit."""
    by_name: dict[str, list[Moment]] = {}
    for moment in timeline.of("hpa", scaled(timeline)):
        for metric in moment.fields.get("metrics") or []:
            one = Moment(moment.time, "hpa", moment.name, dict(metric))
            by_name.setdefault(str(metric.get("name")), []).append(one)
    return {
        name: {key: column(grid.hold(moments, key)) for key in ("value", "target")}
        for name, moments in by_name.items()
    }


def measured(grid: Grid, timeline: Timeline, name: str) -> dict[str, Column]:
    """A series of metrics by pod; under the empty name where it is not by pod."""
    readings = []
    for moment in timeline.of("metrics", name):
        by_pod = moment.fields.get("values")
        found = by_pod if isinstance(by_pod, dict) else {"": moment.fields.get("value")}
        readings.append((moment.time, {str(pod): value for pod, value in found.items()}))
    pods = dict.fromkeys(pod for _, found in readings for pod in found)
    # A pod that a reading lacks has gone: its line ends there.
    moments = {
        pod: [Moment(at, "metrics", pod, {"value": found.get(pod)}) for at, found in readings]
        for pod in pods
    }
    return {pod: column(grid.hold(seen, "value"), 4) for pod, seen in moments.items()}
