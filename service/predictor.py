"""Running models off the event loop, with bounds on how many requests and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from time import perf_counter
from typing import TypeVar

import onnxruntime as ort
import structlog

from service.errors import OverloadedError, PredictionFailedError, ServiceError, TimedOutError
from service.metrics import Metrics
from service.models import Served
from service.observed import CURRENT

_log = structlog.stdlib.get_logger(__name__)
_T = TypeVar("_T")


class _Run:
    """When one run of a model was asked for, began and ended; what has not happened is 0."""

    __slots__ = ("asked", "began", "ended")

    def __init__(self) -> None:
        self.asked = perf_counter()
        self.began = self.ended = 0.0


class Predictor:
    """Runs models in ``pool``, for all endpoints.

    A row takes microseconds, a full batch milliseconds, a larger model more: in a pool the probes
    answer in all these cases, and the runtime lets go of the interpreter while it computes. The
    hand-over costs less than a tenth of a request.
    """

    def __init__(
        self, pool: Executor, metrics: Metrics, *, max_in_flight: int, request_seconds: float
    ) -> None:
        self._pool = pool
        self._metrics = metrics
        self._max_in_flight = max_in_flight
        self._request_seconds = request_seconds
        self._in_flight = 0
        self._runs: set[_Run] = set()
        metrics.inference.watch(self._waiting)

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place for one request. Raises OverloadedError."""
        if self._in_flight >= self._max_in_flight:
            self._metrics.rejected.inc()
            raise OverloadedError(f"{self._max_in_flight} requests are already in flight")
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    def deadline(self) -> float:
        """When a request that begins now must have its answer, by the clock of the event loop."""
        return asyncio.get_running_loop().time() + self._request_seconds

    async def run(
        self,
        work: Callable[[ort.RunOptions], _T],
        served: Served,
        *,
        rows: int = 1,
        deadline: float | None = None,
    ) -> _T:
        """What ``work``, a run of ``served`` with ``rows``, returns.

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
            self._record(run, served, rows, failed=failed)

    def _record(self, run: _Run, served: Served, rows: int, *, failed: bool) -> None:
        # What is still under way, or never began, is told as far as it came.
        ended = run.ended or perf_counter()
        began = run.began or ended
        self._metrics.inference.ran(
            served.name, served.version, rows=rows, queued=began - run.asked, seconds=ended - began
        )
        observed = CURRENT.get()
        if observed and observed.trace:
            observed.trace.ran(run.asked, began, ended, served=served, rows=rows, failed=failed)

    def _waiting(self) -> int:
        # A scrape asks from another thread: a copy in one step cannot change under it.
        return sum(not run.began for run in tuple(self._runs))
