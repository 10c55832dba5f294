"""What was measured of each server, and what is held against the limits."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from loadtests.bench_serving.peers import BARE, BASELINE, OURS

CONCURRENCIES = (1, 16, 64)
JUDGED = 16
_FASTER, _BARE, _BARE_AIM, _BEFORE = 4.0, 1.0, 1.5, 0.97
_MEGABYTES, _FIRST_SECONDS = 150.0, 2.0


@dataclass(frozen=True)
class Turn:
    """One turn of one server: requests per second, latencies in seconds.

    ``generator`` is the share of its core that the load generator took.
    """

    rate: float
    p50: float
    p99: float
    generator: float

    @classmethod
    def of(cls, latencies: Sequence[float], seconds: float, generator: float) -> Turn:
        p50, p99 = np.percentile(np.asarray(latencies), [50, 99]).tolist()
        return cls(len(latencies) / seconds, p50, p99, generator)


@dataclass
class Figures:
    """All of one server: its turns by concurrency, MB, and seconds to the first answer.

    ``wrong`` says why it is not ranked, if it is not.
    """

    name: str
    turns: dict[int, list[Turn]] = field(default_factory=dict)
    memory: float = 0.0
    first_answer: float = 0.0
    wrong: str = ""

    @property
    def ranked(self) -> bool:
        return bool(self.turns) and not self.wrong

    def median(self, concurrency: int, what: Callable[[Turn], float]) -> float:
        return statistics.median(map(what, self.turns[concurrency]))

    def rate(self, concurrency: int) -> float:
        return self.median(concurrency, lambda turn: turn.rate)

    def p50(self, concurrency: int) -> float:
        return self.median(concurrency, lambda turn: turn.p50)

    def p99(self, concurrency: int) -> float:
        return self.median(concurrency, lambda turn: turn.p99)


@dataclass(frozen=True)
class Limit:
    """One thing that is asked of our service: what is wanted, what was found, whether it holds.

    ``held`` is None where there was nothing to hold it against.
    """

    what: str
    wanted: str
    found: str
    held: bool | None


def ratio(ours: Figures, other: Figures, concurrency: int, what: Callable[[Turn], float]) -> float:
    """Ours to the other's: the median over rounds, in each of which they stood beside each other.

    A slow minute of the machine slows both, and leaves the ratio as it is.
    """
    pairs = zip(ours.turns[concurrency], other.turns[concurrency], strict=True)
    return statistics.median(what(mine) / what(theirs) for mine, theirs in pairs)


def rate_ratio(ours: Figures, other: Figures, concurrency: int) -> float:
    return ratio(ours, other, concurrency, lambda turn: turn.rate)


def judge(measured: Mapping[str, Figures]) -> list[Limit]:
    """The limits of one model, each with what was found; ``measured`` is by name, ours included."""
    ours = measured[OURS]
    if not ours.ranked:
        return [Limit("right answers", "all", ours.wrong or "none", False)]
    ranked = [one for one in measured.values() if one.ranked]
    others = [one for one in ranked if one.name not in (OURS, BASELINE)]
    before = [one for one in ranked if one.name == BASELINE]
    servers = [one for one in others if one.name != BARE]
    bare = [one for one in others if one.name == BARE]
    return [
        Limit("right answers", "all", "all", True),
        _beside_best(
            "requests/s / best model server", _FASTER, f"at least {_FASTER:g}", ours,
            max(servers, key=lambda one: one.rate(JUDGED), default=None),
        ),
        _beside_best(
            "requests/s / bare handler", _BARE, f"at least {_BARE:g}, aim {_BARE_AIM:g}", ours,
            next(iter(bare), None),
        ),
        *(
            _beside_best("requests/s / baseline", _BEFORE, f"at least {_BEFORE:g}", ours, one)
            for one in before
        ),
        _latency(ours, min(others, key=lambda one: one.p99(JUDGED), default=None)),
        Limit(
            "memory", f"at most {_MEGABYTES:g} MB", f"{ours.memory:.0f} MB",
            ours.memory <= _MEGABYTES,
        ),
        Limit(
            "first answer", f"within {_FIRST_SECONDS:g} s", f"{ours.first_answer:.2f} s",
            ours.first_answer <= _FIRST_SECONDS,
        ),
    ]  # fmt: skip


def _beside_best(
    what: str, least: float, wanted: str, ours: Figures, other: Figures | None
) -> Limit:
    if other is None:
        return Limit(what, wanted, "nothing to compare with", None)
    found = rate_ratio(ours, other, JUDGED)
    return Limit(what, wanted, f"{found:.2f} ({other.name})", found >= least)


def _latency(ours: Figures, best: Figures | None) -> Limit:
    what, wanted = "p99 / best p99 of the others", "below 1"
    if best is None:
        return Limit(what, wanted, "nothing to compare with", None)
    found = ratio(ours, best, JUDGED, lambda turn: turn.p99)
    return Limit(what, wanted, f"{found:.2f} ({best.name})", found < 1)
