"""Running models, with bounds on how many requests and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from time import perf_counter
from typing import TypeVar

import onnxruntime as ort
import structlog

from service.batch import Answers, Rows
from service.errors import OverloadedError, PredictionFailedError, ServiceError, TimedOutError
from service.lane import Lane, Means
from service.metrics import Metrics
from service.models import Served
from service.observed import CURRENT
from service.quick import Watch

_log = structlog.stdlib.get_logger(__name__)
_T = TypeVar("_T")


class _Run:
    """When one run of a model was asked for, began and ended; what has not happened is 0."""

    __slots__ = ("asked", "began", "ended")

    def __init__(self) -> None:
        self.asked = perf_counter()
        self.began = self.ended = 0.0


class Predictor:
    """Runs models in ``pool``, which has ``workers`` threads, for all endpoints.

    A full batch takes milliseconds, a token of a text or a larger model more: in a pool the probes
    answer meanwhile, and the runtime lets go of the interpreter while it computes. Requests with
    rows to one model share its runs, of ``max_rows`` rows at most.
    """

    def __init__(
        self,
        pool: Executor,
        metrics: Metrics,
        *,
        workers: int,
        max_rows: int,
        max_in_flight: int,
        request_seconds: float,
    ) -> None:
        self._means = Means(pool, workers, max_rows, request_seconds, metrics, Watch())
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._is_tidying = False
        self._pool = pool
        self._metrics = metrics
        self._max_in_flight = max_in_flight
        self._request_seconds = request_seconds
        self._runs: set[_Run] = set()
        metrics.inference.watch(self._waiting)

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place for one request, whose body has arrived. Raises OverloadedError."""
        if self._metrics.in_flight >= self._max_in_flight:
            self._metrics.rejected.inc()
            raise OverloadedError(f"{self._max_in_flight} requests are already in flight")
        self._metrics.in_flight += 1
        try:
            yield
        finally:
            self._metrics.in_flight -= 1

    def deadline(self) -> float:
        """When a request that begins now must have its answer, by the clock of the event loop."""
        return asyncio.get_running_loop().time() + self._request_seconds

    async def predict(self, served: Served, rows: Rows) -> tuple[Answers, int]:
        """The answers of a run with ``rows`` in it, and which of them is the first of these.

        Raises TimedOutError, PredictionFailedError.
        """
        lane = self._lanes.get((served.name, served.version))
        if lane is None or lane.served is not served:
            lane = self._open_lane(served)
        return await lane.run(rows)

    def _open_lane(self, served: Served) -> Lane:
        lane = Lane(served, self._means, asyncio.get_running_loop())
        self._lanes[served.name, served.version] = lane
        if not self._is_tidying:
            self._tidy()
        return lane

    def _tidy(self) -> None:
        """Let go of lanes that nobody asks: each keeps a model in memory that may be gone."""
        loop = asyncio.get_running_loop()
        for key, lane in tuple(self._lanes.items()):
            # One that is just opened was asked of never yet.
            if lane.until and lane.until < loop.time():
                del self._lanes[key]
        self._is_tidying = bool(self._lanes)
        if self._is_tidying:
            loop.call_later(self._request_seconds, self._tidy)

    async def run(
        self,
        work: Callable[[ort.RunOptions], _T],
        served: Served,
        *,
        deadline: float | None = None,
    ) -> _T:
        """What ``work``, a run of ``served`` for one request, returns.

        It is called in the pool with options for each run of a session. Once nobody waits any
        more, the options end the run that is under way.
        Raises TimedOutError at the deadline (that of a request beginning now, if none is given),
        PredictionFailedError for what is not a ServiceError.
        """
        options = ort.RunOptions()
        run = _Run()

        def timed() -> _T:
            run.began = perf_counter()
            try:
                return work(options)
            finally:
                run.ended = perf_counter()

        self._runs.add(run)
        failed = True
        try:
            async with asyncio.timeout_at(self.deadline() if deadline is None else deadline):
                result = await asyncio.get_running_loop().run_in_executor(self._pool, timed)
            failed = False
            return result
        except TimeoutError:
            raise TimedOutError(
                f"there was no answer within {self._request_seconds:g} seconds"
            ) from None
        except ServiceError:
            raise
        except Exception as error:
            _log.exception("prediction failed")
            raise PredictionFailedError("the model failed on this request") from error
        finally:
            options.terminate = True
            self._runs.discard(run)
            self._record(run, served, failed=failed)

    def _record(self, run: _Run, served: Served, *, failed: bool) -> None:
        # What is still under way, or never began, is told as far as it came.
        ended = run.ended or perf_counter()
        began = run.began or ended
        self._metrics.inference.ran(
            served.name, served.version, waits=[began - run.asked], rows=1, seconds=ended - began
        )
        observed = CURRENT.get()
        if observed and observed.trace:
            observed.trace.ran(run.asked, began, ended, served=served, rows=1, failed=failed)

    def _waiting(self) -> int:
        # A scrape asks from another thread: a copy in one step cannot change under it.
        runs = sum(not run.began for run in tuple(self._runs))
        return runs + sum(lane.waiting() for lane in tuple(self._lanes.values()))
