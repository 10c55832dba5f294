"""report.json: all that the page, a comparison and a trend are drawn from."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kindling.errors import KindlingError
from loadtests.report import happenings, series, shape, stats
from loadtests.report.record import EXIT_CODES, Record, Scenario, grouped
from loadtests.samples import Samples
from loadtests.timeline import Timeline

# Raised with every change that an older reader would misread.
SCHEMA = 2
FILE = "report.json"

Document = dict[str, Any]


def document(record: Record) -> Document:
    """The report of a run, as ``schema.json`` describes it."""
    grid = series.Grid.over(record.started, record.ended)
    timeline, samples = record.timeline, record.samples
    whole = samples.between(record.started, record.ended)
    load = series.load(grid, timeline, samples)
    replicas = series.replicas(grid, timeline)
    events, more = happenings.events(timeline)
    scenarios = [
        {
            "name": one.name, "title": one.title, "description": one.description,
            "begin": one.begin, "end": one.end,
            **_numbers(samples, grid, replicas, one.begin, one.end),
            "numbers": _own(one, grid, replicas, timeline),
        }
        for one in record.scenarios
    ]  # fmt: skip
    made: Document = {
        "schema": SCHEMA,
        "verdict": record.ending,
        "exit_code": EXIT_CODES[record.ending],
        "started": record.started,
        "ended": record.ended,
        "command": record.command,
        "slo_p95": record.slo_p95,
        "environment": grouped(record.environment),
        "generator": {"about": dict(record.generator), **_generator(load)},
        "totals": _numbers(samples, grid, replicas, record.started, record.ended),
        "endpoints": stats.endpoints(whole, record.ended - record.started),
        "errors": stats.errors(whole),
        "scenarios": scenarios,
        "checks": [
            {"scenario": c.scenario, "name": c.name, "expected": c.expected,
             "observed": c.observed, "bound": c.bound, "status": c.status, "hint": c.hint}
            for c in record.checks
        ],
        "stages": happenings.stages(timeline, record.ended),
        "alerts": happenings.alerts(timeline, record.ended),
        "notifications": happenings.notifications(timeline),
        "lost": happenings.lost(timeline, record.ended),
        "events": events,
        "events_more": more,
        "series": {
            "start": grid.start, "step": grid.step, "length": grid.length,
            "deployment": series.scaled(timeline),
            "load": load,
            "latency": series.latency(grid, samples),
            "replicas": replicas,
            "scaling": series.scaling(grid, timeline),
            "cpu": series.measured(grid, timeline, "cpu"),
            "in_flight": series.measured(grid, timeline, "in_flight"),
        },
    }  # fmt: skip
    return _finite(made)  # type: ignore[no-any-return]


def read(path: Path) -> Document:
    """A report, from its folder or from its file. Raises KindlingError for anything else."""
    file = path / FILE if path.is_dir() else path
    try:
        found = json.loads(file.read_text())
    except FileNotFoundError:
        raise KindlingError(f"there is no report at {file}") from None
    except (OSError, ValueError) as error:
        raise KindlingError(f"{file} is not a report: {error}") from None
    if not isinstance(found, dict) or "schema" not in found:
        raise KindlingError(f"{file} is not a report of a load test")
    if found["schema"] != SCHEMA:
        raise KindlingError(
            f"{file} has schema {found['schema']!r}, this version reads {SCHEMA}",
            next_step="run the load test again, or read it with the version that wrote it",
        )
    if problem := shape.problem(found):
        raise KindlingError(f"{file} is not a report of a load test: {problem}")
    return found


def _numbers(
    samples: Samples,
    grid: series.Grid,
    replicas: dict[str, series.Column],
    begin: float,
    end: float,
) -> Document:
    ready = _within(replicas["ready"], grid, begin, end)
    return {
        **stats.requests(samples.between(begin, end), end - begin),
        "replicas": {
            "min": min(ready, default=None),
            "max": max(ready, default=None),
        },
    }


def _within(column: series.Column, grid: series.Grid, begin: float, end: float) -> list[float]:
    first = max(0, math.floor((begin - grid.start) / grid.step))
    last = math.ceil((end - grid.start) / grid.step)
    return [value for value in column[first:last] if value is not None]


def _own(
    scenario: Scenario, grid: series.Grid, replicas: dict[str, series.Column], timeline: Timeline
) -> dict[str, float]:
    """What the scenario measured; how long scaling out took is seen from outside if it is not."""
    numbers = {n: float(value) for n, value in scenario.numbers.items() if math.isfinite(value)}
    seconds = _scale_out(scenario, grid, replicas["ready"], timeline)
    if seconds is not None:
        numbers.setdefault("scale_out_seconds", seconds)
    return numbers


def _scale_out(
    scenario: Scenario, grid: series.Grid, ready: series.Column, timeline: Timeline
) -> float | None:
    """From the begin of the stage in which more pods got ready until the most were."""
    known = [
        (grid.start + i * grid.step, value)
        for i, value in enumerate(ready)
        if value is not None and scenario.begin <= grid.start + i * grid.step < scenario.end
    ]
    if not known or max(value for _, value in known) <= known[0][1]:
        return None
    most = max(value for _, value in known)
    first_more = next(at for at, value in known if value > known[0][1])
    all_there = next(at for at, value in known if value == most)
    begins = [
        m.time
        for m in timeline.of("stage", since=scenario.begin, until=first_more + grid.step)
        if m.fields.get("phase") != "end"
    ]
    return round(all_there - max(begins, default=scenario.begin), 1)


def _generator(load: dict[str, series.Column]) -> Document:
    def known(name: str) -> Sequence[float]:
        return [value for value in load[name] if value is not None]

    asked_then = [0.0, *load["asked"], 0.0]
    # Not the seconds in which a stage begins or ends: they belong to two.
    pairs = [
        (asked, sent)
        for asked, sent, before, after in zip(
            load["asked"], load["sent"], asked_then, asked_then[2:], strict=False
        )
        if asked and before and after and sent is not None
    ]
    asked, sent = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    cpu = known("cpu")
    return {
        "sent_share": round(sent / asked, 4) if pairs else None,
        "cpu_mean": round(sum(cpu) / len(cpu), 4) if cpu else None,
        "cpu_max": max(cpu, default=None),
        "behind_max": max(known("behind"), default=None),
    }


def _finite(value: Any) -> Any:
    """Without what JSON does not have: NaN and infinities become ``None``."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
