"""Whether requests were answered: all, rightly, in time, and as many as were asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from loadtests.checks import Check
from loadtests.judge.seen import Verdicts, count, pods, seconds, stage
from loadtests.samples import Samples
from loadtests.timeline import Timeline

# Of fewer, a p95 is the latency of a handful. So many fail it where half of them are too slow.
_FEWEST, _FEWEST_SLOW = 100, 20
_SHOWN = 3


# Seconds that 95 % of requests may take, as the service's objective has it.
SLO_P95_SECONDS = 0.5


@dataclass(frozen=True)
class Window:
    """A stretch of a stage in which ``pods`` were ready; where there is none, ``missing`` why.

    ``name`` is what a check calls it, so that its figure is not taken for one of the whole run.
    """

    begin: float
    end: float
    pods: int
    missing: str = ""
    name: str = ""

    @property
    def seconds(self) -> float:
        return self.end - self.begin

    def of(self, figure: str) -> str:
        """``figure`` with the window that it is taken over."""
        return figure if self.missing else f"{figure} over {self.name or seconds(self.seconds)}"


def steady(timeline: Timeline, *, stage_name: str, wanted: int, settle: float) -> Window:
    """From when ``wanted`` pods have been ready for ``settle`` seconds to the end of the stage.

    Where some were lost meanwhile, from when they had been back for as long.
    """
    found = stage(timeline, stage_name)
    if found is None:
        return Window(0, 0, wanted, f"the stage {stage_name} has no begin or no end")
    since: float | None = None
    for one in pods(timeline):
        if one.time > found.end:
            break
        if one.ready < wanted:
            since = None
        elif since is None:
            since = one.time
    if since is None:
        return Window(0, 0, wanted, f"{count(wanted)} not ready at the end of {stage_name}")
    begin = max(since + settle, found.begin)
    if begin >= found.end:
        why = f"{count(wanted)} ready only {seconds(found.end - since)} before {stage_name} ended"
        return Window(0, 0, wanted, why)
    name = f"the last {seconds(found.end - begin)} of {stage_name}"
    return Window(begin, found.end, wanted, name=name)


def none_failed(samples: Samples, *, scenario: str) -> Check:
    """Every request was answered with 200."""
    return _none(samples, scenario, "failed", "no request failed", "0 failed")


def none_wrong(samples: Samples, *, scenario: str) -> Check:
    """Every answer was right."""
    return _none(samples, scenario, "wrong", "no answer was wrong", "0 wrong")


def latency(
    samples: Samples, window: Window, *, scenario: str, slo: float, quantile: float = 0.95
) -> Check:
    """The latency of that share of requests in the window is within ``slo`` seconds.

    It counts from when a request was to be sent; one that failed counts as never answered.
    """
    make, bound = Verdicts(scenario), f"≤ {slo * 1000:.0f} ms"
    name = f"p{quantile * 100:g} within the objective"
    expected = window.of(f"p{quantile * 100:g} with {count(window.pods)}")
    if window.missing:
        return make.invalid(name, window.missing, expected=expected, bound=bound)
    inside = samples.between(window.begin, window.end)
    waited = np.where(inside.outcome == "failed", np.inf, inside.latency)
    slow = len(inside) >= _FEWEST_SLOW and float(np.median(waited)) > slo
    if len(inside) < _FEWEST and not slow:
        why = f"{count(len(inside), 'request')} in {seconds(window.seconds)}"
        return make.invalid(name, why, expected=expected, bound=bound)
    value = float(np.quantile(waited, quantile, method="higher"))
    said = f"{value * 1000:.0f} ms" if np.isfinite(value) else "no answer"
    return make(
        name, value <= slo, expected=expected,
        observed=f"{said} of {count(len(inside), 'request')}", bound=bound,
        hint="nox -s status; CPU and queue of the pods in timeline.jsonl (metrics)",
    )  # fmt: skip


def achieved(
    samples: Samples, window: Window, *, scenario: str, asked: float, at_least: float = 0.95
) -> Check:
    """Right answers per second in the window, as a share of the ``asked`` requests/s."""
    make, bound = Verdicts(scenario), f"≥ {at_least:.0%}"
    name, expected = "answered what was asked", window.of(f"{asked:.1f} requests/s")
    if window.missing or not len(samples):
        why = window.missing or "no request was sent"
        return make.invalid(name, why, expected=expected, bound=bound)
    if asked <= 0:
        return make.invalid(name, "no rate was asked for", expected=expected, bound=bound)
    rate = answered_rate(samples, window)
    return make(
        name, rate >= asked * at_least, expected=expected,
        observed=f"{rate:.1f} requests/s ({rate / asked:.0%})", bound=bound,
        hint="in_flight and failed in timeline.jsonl (load)",
    )  # fmt: skip


def efficiency(
    samples: Samples, before: Window, after: Window, *, scenario: str, at_least: float
) -> Check:
    """What each added pod adds, as a share of what each of the first ones answers.

    ``(rate after - rate before) / added pods``, over ``rate before / pods before``; rates are right
    answers per second. Both windows must be of a load that is more than the pods can answer.
    """
    make, bound = Verdicts(scenario), f"≥ {at_least:.0%}"
    name, expected = "added pods add requests", "requests/s for each added pod"
    missing = before.missing or after.missing
    added = after.pods - before.pods
    rates = [0.0, 0.0] if missing else [answered_rate(samples, one) for one in (before, after)]
    if missing or added <= 0 or before.pods <= 0 or rates[0] <= 0:
        why = missing or f"{rates[0]:.1f} requests/s with {before.pods}, then {count(after.pods)}"
        return make.invalid(name, why, expected=expected, bound=bound)
    each, first = (rates[1] - rates[0]) / added, rates[0] / before.pods
    return make(
        name, each >= first * at_least, expected=f"{first:.1f} {expected}",
        observed=f"{each:.1f} requests/s ({each / first:.0%}): "
        + before.of(f"{rates[0]:.1f} with {before.pods}")
        + ", "
        + after.of(f"{rates[1]:.1f} with {count(after.pods)}"),
        bound=bound, hint="CPU limits of the pods, and cores of the machine (environment)",
    )  # fmt: skip


def answered_rate(samples: Samples, window: Window) -> float:
    """Right answers that came within the window, per second."""
    inside = (samples.ended >= window.begin) & (samples.ended < window.end)
    return float(np.sum(inside & (samples.outcome == "ok"))) / window.seconds


def _none(samples: Samples, scenario: str, outcome: str, name: str, expected: str) -> Check:
    make = Verdicts(scenario)
    if not len(samples):
        return make.invalid(name, "no request was sent", expected=expected, bound="= 0")
    found = samples.where(samples.outcome == outcome)
    observed = f"{len(found)} of {len(samples)} {outcome}"
    if len(found):
        reasons = Counter(
            f"{name} {reason or status}"
            for name, status, reason in zip(found.name, found.status, found.reason, strict=True)
        )
        observed += ": " + ", ".join(f"{why}: {n}" for why, n in reasons.most_common(_SHOWN))
    return make(
        name, not len(found), expected=expected, observed=observed, bound="= 0",
        hint="rows of requests with that outcome, and timeline.jsonl at their time",
    )  # fmt: skip
