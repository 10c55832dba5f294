"""``python -m loadtests.runner``: one process of the load, made of Locust's users.

On standard input it gets its order, a line of JSON, and is told when to begin, and to stop; if that
ends, nobody is there any more whom the load is for. It says on standard output, in lines of JSON,
that it is ready, and each second what it did and which requests it sent.
"""

from __future__ import annotations

import gc
import io
import json
import logging
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gevent
from gevent.event import AsyncResult, Event
from gevent.fileobject import FileObject
from locust.env import Environment

from loadtests import clock
from loadtests import stages as arithmetic
from loadtests.answers import Judge
from loadtests.data import Data
from loadtests.mix import Draws, Mix
from loadtests.stages import Stage
from loadtests.turns import Counts, Turns
from loadtests.users.planned import PlannedUser
from loadtests.users.service import REQUEST_SECONDS

# For what is under way at the end: each gets its answer, or the bound of a request.
GRACE_SECONDS = REQUEST_SECONDS + 2
_REPORT_SECONDS = 1.0
_PRIORITY = -10
# Of the first thread, which does all the work.
_WAITED = Path("/proc/self/schedstat")


class _Process:
    """The load of one process, from its order to its end."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._stages = [Stage(**stage) for stage in order["stages"]]
        self._share = order["process"], order["processes"]
        data, mix = Data.parse(order["data"]), _mix(order["mix"])
        self._rows = io.StringIO()
        process, processes = self._share
        self._turns = Turns(
            self._stages, self._rows, process=process, processes=processes, think=mix.think
        )
        PlannedUser.data, PlannedUser.judge, PlannedUser.turns = data, Judge(data), self._turns
        PlannedUser.draws = Draws(mix, process, rows=len(data.rows), prompts=len(data.prompts))
        environment = Environment(user_classes=[PlannedUser], host=order["target"])
        self._runner = environment.create_local_runner()
        self._begin: AsyncResult[float] = AsyncResult()
        self._stop = Event()

    def run(self) -> None:
        """Wait for the word to begin, and follow the plan."""
        gevent.spawn(self._listen)
        self._runner.start(self._turns.users, self._turns.users)
        gevent.wait([self._runner.spawning_greenlet])
        # What is there now stays: nothing is gained by looking through it again and again.
        gc.collect()
        gc.freeze()
        _say(ready=True, at=clock.now())
        begin = self._begin.get()
        total = sum(stage.seconds for stage in self._stages)
        # If all else hangs, the kernel ends it.
        signal.alarm(int(max(0.0, begin - clock.now()) + total + GRACE_SECONDS) + 10)
        self._turns.begin(begin)
        reports = gevent.spawn(self._report, begin)
        stages = gevent.spawn(self._tell_stages, begin)
        over = gevent.spawn(self._until_over, begin + total)
        gevent.wait([over, self._stop], max(0.0, begin - clock.now()) + total + GRACE_SECONDS, 1)
        self._turns.stopped = self._stop.is_set()
        self._runner.quit()
        if not self._turns.stopped:
            self._turns.unsent()
        gevent.killall([reports, stages, over])
        self._tell_rows()

    def _until_over(self, end: float) -> None:
        self._runner.user_greenlets.join()
        # Users are done when the last request is; the last stage may be later.
        gevent.sleep(max(0.0, end - clock.now()))

    def _listen(self) -> None:
        with FileObject(0, "r", closefd=False) as told:
            for line in told:
                word, *rest = line.split()
                if word != "begin":
                    break
                self._begin.set(float(rest[0]))
        self._stop.set()
        if not self._begin.ready():
            os._exit(0)

    def _report(self, begin: float) -> None:
        """Each second, what was done in it."""
        last, spent, due = begin, _spent(), 0
        gevent.sleep(max(0.0, begin - clock.now()))
        try:
            while True:
                gevent.sleep(max(0.0, last + _REPORT_SECONDS - clock.now()))
                last, spent, due = self._tell_load(begin, last, spent, due)
        finally:
            # The last one is of less than a second.
            self._tell_load(begin, last, spent, due)

    def _tell_load(
        self, begin: float, last: float, spent: tuple[float, float], due: int
    ) -> tuple[float, tuple[float, float], int]:
        self._tell_rows()
        now, spending = clock.now(), _spent()
        seconds = max(now - last, 1e-3)
        asked = arithmetic.asked(self._stages, *self._share, elapsed=now - begin)
        counts, self._turns.counts = self._turns.counts, Counts()
        self._turns.counts.in_flight = counts.in_flight
        _say(
            load=asdict(counts)
            | {
                "asked": (asked - due) / seconds,
                "cpu": (spending[0] - spent[0]) / seconds,
                "waited": (spending[1] - spent[1]) / seconds,
                "seconds": seconds,
            },
            at=now,
        )
        return now, spending, asked

    def _tell_rows(self) -> None:
        written = self._rows.getvalue()
        self._rows.seek(0)
        self._rows.truncate()
        if written:
            _say(rows=written)

    def _tell_stages(self, begin: float) -> None:
        """When each stage begins and ends; the first process speaks for all."""
        if self._share[0]:
            return
        at, open_stage = begin, None
        try:
            for stage in self._stages:
                gevent.sleep(max(0.0, at - clock.now()))
                open_stage = stage
                _say_stage(stage, "begin", at)
                at += stage.seconds
                gevent.sleep(max(0.0, at - clock.now()))
                _say_stage(stage, "end", at)
                open_stage = None
        finally:
            if open_stage:
                _say_stage(open_stage, "end", min(at, clock.now()))


def main() -> int:
    """Run one order."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    # A connection for each user; the usual bound is too low for many.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with suppress(OSError):
        # It shares the machine with what it loads, and must not be what is kept waiting.
        os.setpriority(os.PRIO_PROCESS, 0, _PRIORITY)
    if order := _order():
        if "clock" in order:
            clock.adopt(order["clock"])
        _Process(order).run()
    return 0


def _order() -> dict[str, Any] | None:
    """What is to be done; nothing where whoever would say it is gone, or has thought better."""
    content = b""
    while b"\n" not in content:
        more = os.read(0, 1 << 20)
        if not more:
            return None
        content += more
    line, _, rest = content.partition(b"\n")
    order: dict[str, Any] = json.loads(line)
    return None if rest else order


def _spent() -> tuple[float, float]:
    """Seconds of processor time, and those in which there was work but no processor for it."""
    try:
        waited = int(_WAITED.read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        waited = 0.0
    return time.process_time(), waited


def _mix(values: dict[str, Any]) -> Mix:
    return Mix(**values | {"batches": tuple(tuple(batch) for batch in values["batches"])})


def _say_stage(stage: Stage, phase: str, at: float) -> None:
    load = {"users": stage.users} if stage.rate is None else {"rate": stage.rate}
    _say(stage=stage.name, phase=phase, at=at, **load)


def _say(**fields: Any) -> None:
    content = memoryview((json.dumps(fields) + "\n").encode())
    while content:
        content = content[os.write(1, content) :]


if __name__ == "__main__":
    sys.exit(main())
