"""Running models off the event loop, with bounds on how many requests and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

import onnxruntime as ort
import structlog

from service.errors import OverloadedError, PredictionFailedError, ServiceError, TimedOutError

_log = structlog.stdlib.get_logger(__name__)
_T = TypeVar("_T")


class Predictor:
    """Runs models in ``pool``, for all endpoints.

    A row takes microseconds, a full batch milliseconds, a larger model more: in a pool the probes
    answer in all these cases, and the runtime lets go of the interpreter while it computes. The
    hand-over costs less than a tenth of a request.
    """

    def __init__(self, pool: Executor, *, max_in_flight: int, request_seconds: float) -> None:
        self._pool = pool
        self._max_in_flight = max_in_flight
        self._request_seconds = request_seconds
        self._in_flight = 0

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place for one request. Raises OverloadedError."""
        if self._in_flight >= self._max_in_flight:
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
        self, work: Callable[[ort.RunOptions], _T], *, deadline: float | None = None
    ) -> _T:
        """What ``work`` returns, called in the pool with options for each run of a session.

        Once nobody waits any more, the options end the run that is under way.
        Raises TimedOutError at the deadline (that of a request beginning now, if none is given),
        PredictionFailedError for what is not a ServiceError.
        """
        options = ort.RunOptions()
        try:
            async with asyncio.timeout_at(self.deadline() if deadline is None else deadline):
                return await asyncio.get_running_loop().run_in_executor(self._pool, work, options)
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
