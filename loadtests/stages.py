"""What load is asked for, and when: stages are data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kindling.errors import KindlingError


@dataclass(frozen=True)
class Stage:
    """Some seconds of one load.

    With a ``rate`` the loop is open: so many requests per second are sent whatever is answered, and
    ``users`` is how many may be under way at once. Without, each of the ``users`` sends its next
    request when it has the answer to the one before.
    """

    name: str
    seconds: float
    rate: float | None
    users: int


# Of each shape its pieces: name, share of the time, share of the load. A ramp is piecewise.
SHAPES: Mapping[str, tuple[tuple[str, float, float], ...]] = {
    "smoke": (("smoke", 1, 1),),
    "step": (("base", 0.25, 0.2), ("step", 0.75, 1)),
    "ramp": tuple((f"ramp {tenth}0 %", 0.1, tenth / 10) for tenth in range(1, 11)),
    "soak": (("warm up", 0.1, 0.5), ("soak", 0.9, 1)),
    "spike": (("before", 0.3, 0.2), ("spike", 0.2, 1), ("after", 0.5, 0.2)),
}


def shape(name: str, *, seconds: float, rate: float | None, users: int) -> list[Stage]:
    """The stages of one of ``SHAPES``, ``seconds`` in all, with ``rate`` at its highest.

    Of a closed loop it is the ``users`` that follow the shape. Raises KindlingError.
    """
    if name not in SHAPES:
        raise KindlingError(f"no shape is named {name!r}", next_step=f"one of: {', '.join(SHAPES)}")
    return [
        Stage(
            piece,
            seconds * time,
            None if rate is None else rate * load,
            users if rate is not None else max(1, round(users * load)),
        )
        for piece, time, load in SHAPES[name]
    ]


def check(stages: Sequence[Stage], processes: int) -> None:
    """Raise KindlingError for what cannot be asked for."""
    if not stages:
        raise KindlingError("a load has one stage at least")
    for stage in stages:
        if not (0 < stage.seconds < math.inf):
            raise KindlingError(f"the stage {stage.name} lasts {stage.seconds} s")
        if stage.rate is not None and not (0 < stage.rate < math.inf):
            raise KindlingError(f"the stage {stage.name} asks for {stage.rate} requests/s")
        if stage.users < processes:
            raise KindlingError(
                f"the stage {stage.name} has {stage.users} users for {processes} processes"
            )


def users_of(stage: Stage, process: int, processes: int) -> int:
    """How many of a stage's users this process has."""
    return (stage.users + processes - 1 - process) // processes


def arrivals(stage: Stage, process: int, processes: int) -> Iterator[float]:
    """When this process is to send, in seconds from the stage's begin.

    All processes together send at even distances: they take turns.
    """
    assert stage.rate is not None
    for turn in range(count(stage, process, processes)):
        yield (process + turn * processes) / stage.rate


def count(stage: Stage, process: int, processes: int, elapsed: float = math.inf) -> int:
    """How many requests were to be sent by this process ``elapsed`` seconds after the begin."""
    if stage.rate is None:
        return 0
    due = stage.rate * max(0.0, min(elapsed, stage.seconds))
    # Of a float that is meant to be whole, as of 0.1 * 30, not one too many.
    return max(0, math.ceil((due - process) / processes - 1e-9))


def asked(stages: Sequence[Stage], process: int, processes: int, elapsed: float = math.inf) -> int:
    """The same for all stages, ``elapsed`` seconds after the first began."""
    total = 0
    for stage in stages:
        total += count(stage, process, processes, elapsed)
        elapsed -= stage.seconds
    return total
