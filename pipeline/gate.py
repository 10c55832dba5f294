"""The evaluation gate: what a model has to be worth before it may be registered."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from pipeline.errors import PipelineError


@dataclass(frozen=True)
class Limit:
    """What a metric may be; ``tolerance`` is how much worse than the champion's."""

    tolerance: float
    at_least: float = -math.inf
    at_most: float = math.inf


Limits = dict[str, Limit]


@dataclass(frozen=True)
class Verdict:
    """What one metric is and what it was to be."""

    metric: str
    value: float
    threshold: str
    passed: bool


def judge(metrics: Mapping[str, float], limits: Limits) -> list[Verdict]:
    """One verdict for each threshold. Raises PipelineError for a metric that is not measured."""
    verdicts = []
    for name, limit in limits.items():
        value = _metric(metrics, name)
        if limit.at_least > -math.inf:
            verdicts.append(_verdict(name, value, limit.at_least, "at least"))
        if limit.at_most < math.inf:
            verdicts.append(_verdict(name, value, limit.at_most, "at most"))
    return verdicts


def compare(
    metrics: Mapping[str, float], champion: Mapping[str, float], limits: Limits
) -> list[Verdict]:
    """One verdict for each metric that the champion has too: worse by the tolerance, no more."""
    verdicts = []
    for name, limit in limits.items():
        if name not in champion:
            continue
        value, best = _metric(metrics, name), champion[name]
        why = f"champion {number(best)}, tolerance {number(limit.tolerance)}"
        if limit.at_least > -math.inf:
            verdicts.append(_verdict(name, value, best - limit.tolerance, "at least", why))
        if limit.at_most < math.inf:
            verdicts.append(_verdict(name, value, best + limit.tolerance, "at most", why))
    return verdicts


def enforce(
    model: str, verdicts: Iterable[Verdict], console: Console, of: str = "the evaluation gate"
) -> None:
    """Print a table of what fell short and raise PipelineError, unless nothing did."""
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if not failed:
        return
    table = Table("metric", "value", "threshold", "verdict", box=None, pad_edge=False)
    for verdict in failed:
        table.add_row(verdict.metric, number(verdict.value), verdict.threshold, "falls short")
    console.print(table)
    raise PipelineError(
        f"{model} falls short of {of}; nothing is registered",
        next_step="look at what changed in the data and in params.yaml, which has the thresholds",
    )


def _metric(metrics: Mapping[str, float], name: str) -> float:
    if name not in metrics:
        known = ", ".join(metrics)
        raise PipelineError(f"the gate asks for {name}, which is not measured; these are: {known}")
    return metrics[name]


def _verdict(metric: str, value: float, bound: float, words: str, why: str = "") -> Verdict:
    # Put so that a metric that is not a number does not pass.
    passed = value >= bound if words == "at least" else value <= bound
    threshold = f"{words} {number(bound)}" + (f" ({why})" if why else "")
    return Verdict(metric, value, threshold, passed)


def number(value: float) -> str:
    """A metric for people: four digits, but whole numbers as they are."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
