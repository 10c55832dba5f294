"""Axes: round ticks, and where a value lies between bottom and top."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadtests.report import words

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@dataclass(frozen=True)
class Scale:
    """From ``low`` at the bottom to ``high`` at the top, with ``ticks`` between."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def share(self, value: float) -> float:
        """0 at the bottom, 1 at the top."""
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        value = max(value, self.low)
        return math.log(value / self.low) / math.log(self.high / self.low)


def linear(highest: float, most: int = 5, whole: bool = False) -> Scale:
    """From zero to a round number that is not below ``highest``."""
    highest = highest if highest > 0 else 1.0
    step = _round_step(highest / (most - 1), whole)
    count = max(1, math.ceil(highest / step - 1e-9))
    ticks = tuple(round(step * n, 10) for n in range(count + 1))
    return Scale(0.0, ticks[-1], ticks)


def logarithmic(lowest: float, highest: float) -> Scale:
    """Whole steps of 1, 2, 5 (or of 10, over many decades) around both."""
    first, last = math.floor(math.log10(lowest)), math.ceil(math.log10(highest))
    steps = [m * 10.0**k for k in range(first, last + 1) for m in (1, 2, 5)]
    low = max(s for s in steps if s <= lowest * (1 + 1e-9))
    high = min((s for s in steps if s >= highest * (1 - 1e-9) and s > low), default=low * 10)
    inside = [s for s in steps if low <= s <= high]
    tens = [s for s in inside if math.isclose(s, 10.0 ** round(math.log10(s)))]
    ticks = inside if len(inside) <= 5 else tens
    return Scale(low, high, tuple(float(f"{tick:.6g}") for tick in ticks), log=True)


def of_latency(columns: Sequence[Sequence[float | None]], also: Sequence[float]) -> Scale:
    """For seconds: a logarithm where the slowest is far from the usual, else from zero."""
    known = sorted(v for column in columns for v in column if v is not None and v > 0)
    highest = max([*known[-1:], *also], default=1.0)
    usual = known[len(known) // 2] if known else highest
    return logarithmic(known[0], highest) if highest > 20 * usual else linear(highest)


def time_ticks(seconds: float, most: int) -> list[int]:
    """Round seconds from 0, no more than ``most`` steps."""
    step = next((s for s in _TIME_STEPS if seconds / s <= most), _TIME_STEPS[-1])
    return list(range(0, math.floor(seconds) + 1, step))


def in_one_unit(scale: Scale) -> Callable[[float], str]:
    """Seconds written all in milliseconds, or all in seconds."""
    if scale.high > 1 and not scale.log:
        return lambda v: f"{words.amount(v)} s" if v else "0"
    return lambda v: words.duration(v) if v else "0"


def _round_step(least: float, whole: bool) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    for step in _STEPS:
        if step * power >= least * (1 - 1e-9) and not (whole and (step * power) % 1):
            return step * power
    return math.ceil(least) if whole else 10 * power
