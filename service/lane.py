"""The requests to one version of a model that takes rows, from their coming to their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
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
        # When the last request that came must have its answer.
        self.until = 0.0

    async def run(self, rows: Rows) -> tuple[Answers, int]:
        """The answers of a run with ``rows`` in it, and which of them is the first of these.

        Raises TimedOutError, PredictionFailedError, and what ServiceError the model raises.
        """
        self.until = deadline = self._loop.time() + self._means.request_seconds
        asked = Asked(rows, self._loop.create_future(), deadline)
        self._waiting.append(asked)
        self._call()
        try:
            return await asked.answer
        except PredictionFailedError as error:
            # Here, where it is known which request it was.
            _log.error("prediction failed", exc_info=error.__cause__ or error)
            raise

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
        """The requests of the next run, in the order in which they came."""
        taken, rows = 0, 0
        for one in self._waiting:
            rows += len(one.rows)
            if taken and (rows > self._means.max_rows or one.alone or self._waiting[0].alone):
                break
            taken += 1
        asked, self._waiting = self._waiting[:taken], self._waiting[taken:]
        self._are_many = taken > 1
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
        # One that the watch ended may have been long because the process stood still.
        if answers is None and (len(run.asked) > 1 or run.options.terminate):
            self._retry([one for one in run.asked if not one.answer.done()])
            return
        first = 0
        for one in run.asked:
            if not one.answer.done():
                if answers is not None:
                    one.answer.set_result((answers, first))
                else:
                    one.answer.set_exception(_for_people(error))
            first += len(one.rows)

    def _retry(self, asked: Sequence[Asked]) -> None:
        """Each by itself, before all others: only what is to blame must fail."""
        for one in asked:
            one.alone, one.asked = True, perf_counter()
        self._waiting[:0] = asked
        self._call()

    def _expect(self) -> None:
        """See to it that who waits too long is told so."""
        waiting = self._waiting + [one for run in self._runs for one in run.asked]
        if waiting and self._timer is None:
            due = min(one.deadline for one in waiting)
            self._timer = self._loop.call_at(due, self._expire)

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
