"""Spans on their way out: a bounded queue, and a task that sends it in batches."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence

import structlog
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from prometheus_client import CollectorRegistry, Counter

from service.errors import ServiceError
from service.trace_sinks import TraceSink

_log = structlog.stdlib.get_logger(__name__)
_MOST_WAITING = 2048
_BATCH = 256
# Requests wait as long as it takes to encode so many.
_AT_ONCE = 32
_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 60.0
_TIDY_SECONDS = 600.0
# A pod that stops is given 30 seconds at least, of which drain and open requests may take 25.
_FLUSH_SECONDS = 2.0


class TraceMetrics:
    """What became of the spans of traced requests, and how many were not traced."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.exported = Counter(
            "trace_spans_exported_total", "Spans that were sent.", registry=registry
        )
        dropped = Counter(
            "trace_spans_dropped_total",
            "Spans that were not sent: too many were waiting, or sending failed.",
            ["reason"],
            registry=registry,
        )
        self.queue_full = dropped.labels("queue_full")
        self.export_failed = dropped.labels("export_failed")
        self.limited = Counter(
            "trace_requests_limited_total",
            "Requests not traced because there were too many to trace in that second.",
            registry=registry,
        )


class Exporter(SpanProcessor):
    """Takes spans as they end, and sends them to ``sink`` until it is cancelled.

    No request ever waits for it, and no failure ends it.
    """

    def __init__(
        self, sink: TraceSink, metrics: TraceMetrics, *, seconds: float = _SECONDS
    ) -> None:
        self._sink = sink
        self._metrics = metrics
        self._seconds = seconds
        self._waiting: deque[ReadableSpan] = deque()
        self._failures = 0
        self._tidy_at = 0.0

    def on_end(self, span: ReadableSpan) -> None:
        """Called by the SDK for each span that ends."""
        if len(self._waiting) >= _MOST_WAITING:
            self._metrics.queue_full.inc()
        else:
            self._waiting.append(span)

    async def run(self) -> None:
        """Send and tidy up without end; when cancelled, send what there is within a bound."""
        try:
            while True:
                # Pods that started together do not send together.
                await asyncio.sleep(self._pause() * random.uniform(0.8, 1.2))  # noqa: S311
                await self._send_all()
                await self._tidy()
        finally:
            await self._flush()

    def _pause(self) -> float:
        return min(self._seconds * 2.0 ** min(self._failures, 16), _LONGEST_PAUSE_SECONDS)

    async def _send_all(self) -> None:
        while self._waiting and await self._send():
            pass

    async def _send(self) -> bool:
        """Send one batch; it is lost if that fails, for what cannot be sent must not pile up."""
        batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
        try:
            await self._sink.send(await _encode(batch))
        except asyncio.CancelledError:
            self._metrics.export_failed.inc(len(batch))
            raise
        except Exception as error:
            self._metrics.export_failed.inc(len(batch))
            self._failed(error)
            return False
        self._metrics.exported.inc(len(batch))
        if self._failures:
            _log.info("traces are exported again")
        self._failures = 0
        return True

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
            _log.warning("traces lost at the end", spans=len(self._waiting))


async def _encode(spans: Sequence[ReadableSpan]) -> bytes:
    """An ExportTraceServiceRequest; messages that stand one after another are one message."""
    pieces = []
    for start in range(0, len(spans), _AT_ONCE):
        pieces.append(encode_spans(spans[start : start + _AT_ONCE]).SerializeToString())
        await asyncio.sleep(0)
    return b"".join(pieces)
