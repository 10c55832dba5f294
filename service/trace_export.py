"""Traces on their way out: a bounded queue, and a task that sends it in batches."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import structlog
from prometheus_client import CollectorRegistry, Counter

from service.errors import ServiceError
from service.trace_encode import encode_traces, rejected_spans
from service.trace_sinks import TraceSink
from service.tracing import Trace

_log = structlog.stdlib.get_logger(__name__)
# In spans, of which a trace has some.
_MOST_WAITING = 2048
_MANY_WAITING = _MOST_WAITING // 2
_BATCH = 256
# Requests wait as long as it takes to encode so many traces.
_AT_ONCE = 16
_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 60.0
_TIDY_SECONDS = 600.0
# A pod that stops is given 30 seconds at least, of which drain and open requests may take 25.
_FLUSH_SECONDS = 2.0


class TraceMetrics:
    """What became of the spans of traced requests, and how many were not traced."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.exported = Counter(
            "trace_spans_exported_total", "Spans that were sent and taken.", registry=registry
        )
        dropped = Counter(
            "trace_spans_dropped_total",
            "Spans lost: too many were waiting, sending failed, or they were rejected.",
            ["reason"],
            registry=registry,
        )
        self.queue_full = dropped.labels("queue_full")
        self.export_failed = dropped.labels("export_failed")
        self.rejected = dropped.labels("rejected")
        self.limited = Counter(
            "trace_requests_limited_total",
            "Requests not traced because there were too many to trace in that second.",
            registry=registry,
        )


class Exporter:
    """Takes traces as they end, and sends them to ``sink`` until it is cancelled.

    No request ever waits for it, and no failure ends it.
    """

    def __init__(
        self, sink: TraceSink, metrics: TraceMetrics, *, seconds: float = _SECONDS
    ) -> None:
        self._sink = sink
        self._metrics = metrics
        self._seconds = seconds
        self._waiting: deque[Trace] = deque()
        self._spans = 0
        self._failures = 0
        self._is_rejecting = False
        self._tidy_at = 0.0
        self._many = asyncio.Event()

    def add(self, trace: Trace) -> None:
        """Take a trace that ended."""
        spans = trace.spans
        if self._spans + spans > _MOST_WAITING:
            self._metrics.queue_full.inc(spans)
            return
        self._spans += spans
        self._waiting.append(trace)
        if self._spans >= _MANY_WAITING:
            self._many.set()

    async def run(self) -> None:
        """Send and tidy up without end; when cancelled, send what there is within a bound."""
        try:
            while True:
                await self._wait()
                await self._send_all()
                await self._tidy()
        finally:
            await self._flush()

    async def _wait(self) -> None:
        """Until it is time, or many wait; but for as long as a sink that fails is to be left."""
        # Pods that started together do not send together.
        seconds = self._pause() * random.uniform(0.8, 1.2)  # noqa: S311
        self._many.clear()
        if self._failures:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._many.wait()

    def _pause(self) -> float:
        return min(self._seconds * 2.0 ** min(self._failures, 16), _LONGEST_PAUSE_SECONDS)

    async def _send_all(self) -> None:
        while self._waiting and await self._send():
            pass

    async def _send(self) -> bool:
        """Send one batch; it is lost if that fails, for what cannot be sent must not pile up."""
        batch, spans = self._take()
        try:
            response = await self._sink.send(await _encode(batch))
        except asyncio.CancelledError:
            self._metrics.export_failed.inc(spans)
            raise
        except Exception as error:
            self._metrics.export_failed.inc(spans)
            self._failed(error)
            return False
        rejected = min(spans, rejected_spans(response))
        self._metrics.rejected.inc(rejected)
        self._metrics.exported.inc(spans - rejected)
        if rejected and not self._is_rejecting:
            _log.warning("spans rejected", spans=rejected, sent=spans)
        self._is_rejecting = rejected > 0
        if self._failures:
            _log.info("traces are exported again")
        self._failures = 0
        return True

    def _take(self) -> tuple[list[Trace], int]:
        """Some traces, and how many spans they are."""
        batch, spans = list[Trace](), 0
        while self._waiting and spans < _BATCH:
            batch.append(self._waiting.popleft())
            spans += batch[-1].spans
        self._spans -= spans
        return batch, spans

    def _failed(self, error: Exception) -> None:
        """Say so once, however long it lasts."""
        self._failures += 1
        if self._failures == 1:
            reason = error.message if isinstance(error, ServiceError) else type(error).__name__
            _log.warning("traces not exported", reason=reason)

    async def _tidy(self) -> None:
        if self._failures or time.monotonic() < self._tidy_at:
            return
        self._tidy_at = time.monotonic() + _TIDY_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311
        try:
            await self._sink.tidy()
        except Exception as error:
            reason = error.message if isinstance(error, ServiceError) else type(error).__name__
            _log.warning("old traces not deleted", reason=reason)

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                await self._send_all()
        except TimeoutError:
            _log.warning("traces lost at the end", spans=self._spans)


async def _encode(traces: Sequence[Trace]) -> bytes:
    """An ExportTraceServiceRequest; messages that stand one after another are one message."""
    pieces = []
    for start in range(0, len(traces), _AT_ONCE):
        pieces.append(encode_traces(traces[start : start + _AT_ONCE]))
        await asyncio.sleep(0)
    return b"".join(pieces)
