"""What the checks read out of a timeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadtests.checks import Check, Status
from loadtests.timeline import Moment, Source, Timeline

# Bounds are worked out from intervals that nobody keeps to the millisecond.
TOLERANCE = 1.1


@dataclass(frozen=True)
class Stage:
    """A stage of the load, in Unix seconds."""

    name: str
    begin: float
    end: float
    rate: float | None = None


@dataclass(frozen=True)
class Pods:
    """From ``time`` on: pods that are there and stay, and those of them that are ready."""

    time: float
    there: int
    ready: int


@dataclass(frozen=True)
class Verdicts:
    """Makes the checks of one scenario."""

    scenario: str

    def __call__(
        self, name: str, ok: bool, *, expected: str, observed: str, bound: str = "", hint: str = ""
    ) -> Check:
        """A check that passed or failed."""
        status: Status = "passed" if ok else "failed"
        words = "" if ok else hint
        return Check(self.scenario, name, expected, observed, bound, status, words)

    def invalid(self, name: str, why: str, *, expected: str, bound: str = "") -> Check:
        """A check of which the run could not tell, and why."""
        return Check(self.scenario, name, expected, why, bound, "invalid", "look at timeline.jsonl")


def stage(timeline: Timeline, name: str) -> Stage | None:
    """The stage ``name``, or None where its begin or its end is missing."""
    moments = timeline.of("stage", name)
    begins = [one for one in moments if one.fields.get("phase") == "begin"]
    ends = [one for one in moments if one.fields.get("phase") == "end"]
    if not begins or not ends:
        return None
    return Stage(name, begins[0].time, ends[-1].time, begins[0].fields.get("rate"))


def pods(timeline: Timeline) -> list[Pods]:
    """How many there were after each moment that tells of a pod.

    One that is being deleted, or has ended, is there no more.
    """
    there: dict[str, bool] = {}
    counts = []
    for moment in timeline.of("pod"):
        fields = moment.fields
        ended = fields["gone"] or fields["deleting"] or fields["phase"] in ("Succeeded", "Failed")
        there.pop(moment.name, None)
        if not ended:
            there[moment.name] = bool(fields["ready"])
        counts.append(Pods(moment.time, len(there), sum(there.values())))
    return counts


def latest(timeline: Timeline, source: Source, at: float = float("inf")) -> Moment | None:
    """The last moment of ``source`` up to ``at``."""
    found = timeline.of(source, until=at)
    return found[-1] if found else None


def pods_at(counts: Sequence[Pods], at: float) -> Pods | None:
    """How many there were at a time; None where nobody had looked yet."""
    before = [one for one in counts if one.time <= at]
    return before[-1] if before else None


def first(moments: Sequence[Moment], want: Callable[[Moment], object]) -> Moment | None:
    """The first that ``want`` takes."""
    return next((one for one in moments if want(one)), None)


def end(timeline: Timeline) -> float:
    """When the last thing was seen."""
    return max((one.time for one in timeline), default=0.0)


def seconds(value: float) -> str:
    """A duration with its unit."""
    return f"{value:.1f} s"


def count(number: int, what: str = "pod") -> str:
    """A number of things."""
    return f"{number} {what}" + ("" if number == 1 else "s")
