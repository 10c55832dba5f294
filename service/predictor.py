"""Predictions off the event loop, with a bound on how many are under way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager

import structlog

from service.errors import NotReadyError, OverloadedError, PredictionFailedError
from service.model import Model
from service.schemas import Prediction, PredictResponse

_log = structlog.stdlib.get_logger(__name__)


class Predictor:
    """Runs ``model`` in ``pool``.

    A row takes microseconds, a full batch milliseconds, a larger model more: in a pool the probes
    answer in all these cases, and the runtime lets go of the interpreter while it computes. The
    hand-over costs less than a tenth of a request.
    """

    def __init__(self, model: Model, pool: Executor, *, max_in_flight: int) -> None:
        self._model = model
        self._pool = pool
        self._max_in_flight = max_in_flight
        self._in_flight = 0

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place for one request. Raises NotReadyError, OverloadedError."""
        if self._model.metadata is None:
            raise NotReadyError("the model is not loaded")
        if self._in_flight >= self._max_in_flight:
            raise OverloadedError(f"{self._max_in_flight} requests are already in flight")
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    async def predict(self, rows: Sequence[Sequence[float]]) -> PredictResponse:
        """Classify (n, 64) pixels. Raises NotReadyError, PredictionFailedError."""
        metadata = self._model.metadata
        if metadata is None:
            raise NotReadyError("the model is not loaded")
        loop = asyncio.get_running_loop()
        try:
            labels, probabilities = await loop.run_in_executor(
                self._pool, self._model.predict, rows
            )
        except Exception as error:
            _log.exception("prediction failed", rows=len(rows))
            raise PredictionFailedError("the model failed on this request") from error
        pairs = zip(labels.tolist(), probabilities.astype(float).round(6).tolist(), strict=True)
        return PredictResponse(
            model=metadata.name,
            version=metadata.version,
            predictions=[Prediction(label=label, probabilities=row) for label, row in pairs],
        )
