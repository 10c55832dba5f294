"""The requests to one version of a model that takes rows, from their coming to their answers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import structlog

from service.batch import Answers, Asked, Rows, Run
from service.errors import PredictionFailedError, ServiceError, TimedOutError
from service.metrics import Metrics
from service.models import Served
from service.quick import LONG_SECONDS, Estimate, Watch

_log = structlog.stdlib.get_logger(__name__)
# After a failed request the next ones of its connection do not share runs with those of others.
_SUSPECT_SECONDS = 60.0
_MAX_SUSPECTS = 1024
_SUSPECTS = object()


@dataclass(frozen=True)
class Means:
    """What all lanes share: threads and how many, bounds of a run and of a request, a watch."""

    pool: Executor
    workers: int
    max_rows: int
    request_seconds: float
    metrics: Metrics
    watch: Watch


class Lane:
    """Batches what waits: at the end of the event loop's turn, once a thread is free for it.

    No time is waited for more to come. The busier the service is, the larger are its runs.
    """

    def __init__(self, served: Served, means: Means, loop: asyncio.AbstractEventLoop) -> None:
        self.served = served
        self._names = served.name, served.version
        self._waiting: list[Asked] = []
        self._means = means
        self._loop = loop
        self._estimate = Estimate()
        self._runs: list[Run] = []
        self._is_called = self._are_many = False
        self._timer: asyncio.TimerHandle | None = None
        # Connections, and until when they are suspects; those whose time ends first come first.
        self._suspects: OrderedDict[object, float] = OrderedDict()
        # When the last request that came must have its answer.
        self.until = 0.0

    async def run(self, rows: Rows) -> tuple[Answers, int]:
        """The answers of a run with ``rows`` in it, and which of them is the first of these.

        Raises TimedOutError, PredictionFailedError, and what ServiceError the model raises.
        """
        self.until = deadline = self._loop.time() + self._means.request_seconds
        asked = Asked(rows, self._loop.create_future(), deadline)
        if self._suspects and self._is_suspect(asked.client):
            asked.group = _SUSPECTS
        self._waiting.append(asked)
        self._call()
        try:
            return await asked.answer
        except PredictionFailedError as error:
            # Here, where it is known which request it was.
            _log.error("prediction failed", exc_info=error.__cause__ or error)
            raise

    def _is_suspect(self, client: object) -> bool:
        return self._suspects.get(client, 0.0) > self._loop.time()

    def _suspect(self, client: object) -> None:
        """Keep the next requests of this connection apart: most likely they fail as this one."""
        if client is not None:
            self._suspects.pop(client, None)
            self._suspects[client] = self._loop.time() + _SUSPECT_SECONDS
            if len(self._suspects) > _MAX_SUSPECTS:
                self._suspects.popitem(last=False)

    def waiting(self) -> int:
        """Requests whose run has not begun; any thread may ask."""
        begun = (0 if run.began else len(run.asked) for run in tuple(self._runs))
        return len(self._waiting) + sum(begun)

    def _call(self) -> None:
        if not self._is_called:
            self._is_called = True
            # Where requests come together, one turn more brings those that are just behind.
            self._loop.call_soon(self._call_again if self._are_many else self._begin)

    def _call_again(self) -> None:
        self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._is_called = False
        while self._waiting and len(self._runs) < self._means.workers:
            if asked := self._take():
                try:
                    self._run(asked)
                except Exception as error:
                    # There is no memory for it, or no thread.
                    for one in asked:
                        if not one.answer.done():
                            one.answer.set_exception(_for_people(error))
        self._expect()

    def _run(self, asked: list[Asked]) -> None:
        run = Run(self.served, asked)
        if self._estimate.is_quick(run.rows):
            self._run_here(run)
            return
        ending = self._loop.run_in_executor(self._means.pool, run)
        self._runs.append(run)
        ending.add_done_callback(partial(self._ended, run))

    def _take(self) -> list[Asked]:
        """The requests of the next run, those of one group in the order in which they came."""
        asked: list[Asked] = []
        left: list[Asked] = []
        rows, group = 0, self._waiting[0].group
        for place, one in enumerate(self._waiting):
            if one.group is not group:
                left.append(one)
                continue
            rows += len(one.rows)
            if asked and rows > self._means.max_rows:
                left += self._waiting[place:]
                break
            asked.append(one)
        self._waiting = left
        self._are_many = len(asked) > 1
        return [one for one in asked if not one.answer.done()]

    def _run_here(self, run: Run) -> None:
        answers, error = None, None
        try:
            self._means.watch.begin(run.options)
            answers = run()
        except Exception as raised:
            error = raised
        finally:
            self._means.watch.end()
        self._settle(run, answers, error)

    def _ended(self, run: Run, ending: asyncio.Future[Answers]) -> None:
        self._runs.remove(run)
        if ending.cancelled():
            # The service stops.
            self._settle(run, None, PredictionFailedError("the service stops"))
            return
        error = ending.exception()
        self._settle(run, None if error else ending.result(), error)
        if self._waiting:
            self._call()

    def _settle(self, run: Run, answers: Answers | None, error: BaseException | None) -> None:
        """Answer those who waited for ``run``."""
        seconds = run.ended - run.began
        # A run that fails, or is ended before it begins, may be far shorter than a good one.
        if run.ended and (answers is not None or seconds > LONG_SECONDS):
            self._estimate.learn(run.rows, run.cpu, seconds)
        self._tell(run, failed=answers is None)
        if answers is None and self._is_retried(run):
            return
        first = 0
        for one in run.asked:
            if not one.answer.done():
                if answers is not None:
                    one.answer.set_result((answers, first))
                else:
                    one.answer.set_exception(_for_people(error))
                    self._suspect(one.client)
            first += len(one.rows)

    def _is_retried(self, run: Run) -> bool:
        """Whether requests of ``run``, which failed, run again: only what is to blame must fail.

        They do so in halves, before all others, so that one bad request among n costs about
        2 log2(n) runs.
        """
        asked = [one for one in run.asked if not one.answer.done()]
        # One that the watch ended may have been long because the process stood still.
        if not asked or (len(run.asked) == 1 and not run.options.terminate):
            return False
        middle = (len(asked) + 1) // 2
        for half in (asked[:middle], asked[middle:]):
            group = object()
            for one in half:
                one.group, one.asked = group, perf_counter()
        self._waiting[:0] = asked
        self._call()
        return True

    def _expect(self) -> None:
        """See to it that who waits too long is told so."""
        if self._timer is not None:
            return
        asked = self._waiting + [one for run in self._runs for one in run.asked]
        # A run goes on when those who asked for it have been told that it is late.
        if deadlines := [one.deadline for one in asked if not one.answer.done()]:
            self._timer = self._loop.call_at(min(deadlines), self._expire)

    def _expire(self) -> None:
        self._timer = None
        due = self._loop.time()
        for one in self._waiting:
            if self._is_late(one, due):
                now = perf_counter()
                self._means.metrics.inference.ran(*self._names, waits=[now - one.asked])
                self._time_out(one, began=now, rows=len(one.rows))
        self._waiting = [one for one in self._waiting if not one.answer.done()]
        for run in self._runs:
            for one in run.asked:
                if self._is_late(one, due):
                    self._time_out(one, began=run.began, rows=run.rows)
            if not run.is_awaited():
                run.options.terminate = True
                self._tell(run, failed=True)
        self._expect()

    def _is_late(self, one: Asked, due: float) -> bool:
        return one.deadline <= due and not one.answer.done()

    def _time_out(self, one: Asked, *, began: float, rows: int) -> None:
        now = perf_counter()
        self._trace(one, began or now, now, rows, failed=True)
        seconds = self._means.request_seconds
        one.answer.set_exception(TimedOutError(f"there was no answer within {seconds:g} seconds"))

    def _tell(self, run: Run, *, failed: bool) -> None:
        """Count and trace a run that ended, or that nobody waits for any more."""
        if run.is_told:
            return
        run.is_told = True
        # What is still under way, or never began, is told as far as it came.
        ended = run.ended or perf_counter()
        began = run.began or ended
        waits = [began - one.asked for one in run.asked]
        self._means.metrics.inference.ran(
            *self._names, waits=waits, rows=run.rows, seconds=ended - began
        )
        for one in run.asked:
            if one.trace and not one.answer.done():
                self._trace(one, began, ended, run.rows, failed=failed)

    def _trace(self, one: Asked, began: float, ended: float, rows: int, *, failed: bool) -> None:
        if one.trace:
            one.trace.ran(one.asked, began, ended, served=self.served, rows=rows, failed=failed)


def _for_people(error: BaseException | None) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    shown = PredictionFailedError("the model failed on this request")
    shown.__cause__ = error
    return shown
