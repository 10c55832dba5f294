"""Who sends next, and when: the schedule of one process, and the record of what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from loadtests import clock
from loadtests import stages as arithmetic
from loadtests.alarm import Alarm
from loadtests.stages import Stage

if TYPE_CHECKING:
    from loadtests.users.service import Answer

# A request that a free user sends later than this is late by the fault of the generator.
LATE = 0.1
# The name of requests of which it is not known what they were.
NOTHING = "unknown"


@dataclass
class Counts:
    """What happened since the last report; of ``in_flight``, what is so now."""

    started: int = 0
    finished: int = 0
    failed: int = 0
    wrong: int = 0
    # Sent too late although a user was free, and sent late because none was.
    late: int = 0
    held: int = 0
    behind: float = 0.0
    in_flight: int = 0


@dataclass
class _Running:
    """A stage, when it begins, and the arrivals of an open loop that are not taken yet."""

    stage: Stage
    begin: float
    users: int
    arrivals: Iterator[float]
    # Whoever holds it waits for the next arrival; the others wait for it, in the order they came.
    next: BoundedSemaphore = field(default_factory=BoundedSemaphore)
    alarm: Alarm = field(default_factory=Alarm)
    # Since when each user is free that waits for a turn, in the order in which they became so.
    free: dict[int, float] = field(default_factory=dict)

    @property
    def end(self) -> float:
        return self.begin + self.stage.seconds


class Turns:
    """Deals the requests of all stages to the users of this process."""

    def __init__(
        self,
        stages: Sequence[Stage],
        rows: TextIO,
        *,
        process: int,
        processes: int,
        think: float,
    ) -> None:
        self.counts = Counts()
        # Set when the run is stopped: what has no answer then is nobody's fault.
        self.stopped = False
        self._rows = rows
        self._think = think
        self._begun = Event()
        self._stages: list[_Running] = []
        self._plan = [
            (
                stage,
                arithmetic.users_of(stage, process, processes),
                iter(()) if stage.rate is None else arithmetic.arrivals(stage, process, processes),
            )
            for stage in stages
        ]

    @property
    def users(self) -> int:
        """The most users of any stage."""
        return max(users for _, users, _ in self._plan)

    def begin(self, at: float) -> None:
        """Let the first stage begin at a Unix time."""
        for stage, users, arrivals in self._plan:
            self._stages.append(_Running(stage, at, users, map(at.__add__, arrivals)))
            at += stage.seconds
        self._begun.set()

    def of_user(self, number: int) -> Iterator[Turn]:
        """The turns of one user; each is taken before it asks for the next."""
        self._begun.wait()
        for running in self._stages:
            if number >= running.users:
                _sleep_until(running.end)
            elif running.stage.rate is None:
                yield from self._closed(running)
            else:
                yield from self._open(running, number)

    def unsent(self) -> None:
        """Write down as failed what was to be sent and never was, for no user became free."""
        now = clock.now()
        for running in self._stages:
            for intended in running.arrivals:
                self.failed(intended, now, "not sent")

    def failed(self, intended: float, started: float, reason: str) -> None:
        """Write down a request that came to nothing within all the time there was."""
        self._write(intended, started, clock.now(), NOTHING, 0, "failed", reason)
        self.counts.finished += 1
        self.counts.failed += 1

    def _open(self, running: _Running, user: int) -> Iterator[Turn]:
        while True:
            running.free[user] = clock.now()
            with running.next:
                first = next(iter(running.free.values()))
                intended = next(running.arrivals, None)
                if intended is None:
                    return
                running.alarm.sleep_until(intended)
                del running.free[user]
            # Whoever takes it need not be the one that was free first.
            yield Turn(self, intended, held=first > intended)

    def _closed(self, running: _Running) -> Iterator[Turn]:
        _sleep_until(running.begin)
        while clock.now() < running.end:
            yield Turn(self, None)
            gevent.sleep(self._think)

    def _write(self, *row: float | str) -> None:
        self._rows.write("\t".join(_shown(one) for one in row) + "\n")


class Turn:
    """One request to send now; a block in which it is under way."""

    def __init__(self, turns: Turns, intended: float | None, *, held: bool = False) -> None:
        self._turns, self._intended, self._held = turns, intended, held

    def __enter__(self) -> Self:
        counts, self._started = self._turns.counts, clock.now()
        counts.started += 1
        counts.in_flight += 1
        if self._held:
            counts.held += 1
        elif self._intended is not None:
            behind = self._started - self._intended
            counts.late += behind > LATE
            counts.behind = max(counts.behind, behind)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._turns.counts.in_flight -= 1
        if kind and not self._turns.stopped:
            self._turns.failed(self._intended or self._started, self._started, "no answer")

    def ended(self, answer: Answer) -> None:
        """Write down what became of it."""
        counts, (outcome, reason) = self._turns.counts, answer.verdict
        counts.finished += 1
        counts.failed += outcome == "failed"
        counts.wrong += outcome == "wrong"
        intended = answer.started if self._intended is None else self._intended
        self._turns._write(
            intended, answer.started, answer.ended, answer.name, answer.status, outcome, reason
        )


def _sleep_until(then: float) -> None:
    # A timer may fire a moment early.
    while (left := then - clock.now()) > 0:
        gevent.sleep(left)


def _shown(value: float | str) -> str:
    return f"{value:.6f}" if isinstance(value, float) else str(value)
