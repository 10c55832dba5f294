"""Requests in numbers: of a stretch of time, of each endpoint, and the errors by their kind."""

from __future__ import annotations

from typing import Any

import numpy as np

from loadtests.report import series
from loadtests.samples import Samples

Row = dict[str, Any]


def requests(samples: Samples, seconds: float) -> Row:
    """Counts, rate and latencies of ``samples``, which were to be sent within ``seconds``."""
    waited, answered = series.waited(samples), samples.latency[samples.outcome != "failed"]
    names = series.PERCENTILES
    found = list(series.percentiles(waited, list(names.values()))) if len(samples) else []
    latency = dict.fromkeys(names) | {n: _rounded(v) for n, v in zip(names, found, strict=False)}
    latency["max"] = _rounded(answered.max()) if len(answered) else None
    return {
        "requests": len(samples),
        "failed": int((samples.outcome == "failed").sum()),
        "wrong": int((samples.outcome == "wrong").sum()),
        "requests_per_second": round(len(samples) / seconds, 3) if seconds > 0 else None,
        "latency": latency,
    }


def endpoints(samples: Samples, seconds: float) -> list[Row]:
    """The same of each endpoint, by name."""
    return [
        {"endpoint": str(name), **requests(samples.where(samples.name == name), seconds)}
        for name in np.unique(samples.name)
    ]


def errors(samples: Samples) -> list[Row]:
    """Each kind of error at each endpoint, the most frequent first."""
    bad = samples.where(samples.outcome != "ok")
    found: dict[tuple[str, str, str], Row] = {}
    # In order of their ends: an error is seen when its request ends.
    for n in np.argsort(bad.ended, kind="stable"):
        endpoint, outcome, ended = str(bad.name[n]), str(bad.outcome[n]), float(bad.ended[n])
        kind = str(bad.reason[n]) or (f"status {bad.status[n]}" if bad.status[n] else "no response")
        new = {"kind": kind, "outcome": outcome, "endpoint": endpoint, "count": 0, "first": ended}
        row = found.setdefault((kind, outcome, endpoint), new)
        row |= {"count": row["count"] + 1, "last": ended}
    return sorted(found.values(), key=lambda row: (-row["count"], row["first"]))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 5)
