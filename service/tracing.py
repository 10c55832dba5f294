"""Spans of a request, as OpenTelemetry has them: the request, in it each batch, in it the model.

Imported only where traces are exported: the SDK takes memory, and a part of a second to start.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.trace import (
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.models import Served
from service.trace_sampling import Sampling

# A text takes a run for each token; the rest of them are only counted.
_MOST_RUNS = 8
# Lengths are not among them: each value is bounded where it comes from, and cutting takes long.
_LIMITS = SpanLimits(max_attributes=16, max_events=0, max_links=0)
_NO_CONTEXT = Context()
# W3C's traceparent and tracestate. Its baggage is what others say of a request, and not read.
_W3C = TraceContextTextMapPropagator()


class Tracing:
    """Begins the traces of requests; ``processor`` gets their spans as they end."""

    def __init__(self, processor: SpanProcessor, sampling: Sampling) -> None:
        # Not Resource.create(): it looks into the environment and for plug-ins.
        resource = Resource({"service.name": "serving", "host.name": socket.gethostname()})
        provider = TracerProvider(
            sampler=sampling.sampler,
            id_generator=sampling.ids,
            resource=resource,
            shutdown_on_exit=False,
            span_limits=_LIMITS,
        )
        provider.add_span_processor(processor)
        self._tracer = provider.get_tracer("kindling.service")
        self._sampling = sampling

    def begin(
        self, path: str, traceparent: str, tracestate: str, *, request_id: str
    ) -> tuple[str | None, Trace | None]:
        """The trace id that a client named, or that of our trace; and the trace if it is kept."""
        if self._sampling.leaves_out() and not traceparent:
            return None, None
        context = _NO_CONTEXT
        if traceparent:
            carrier = {"traceparent": traceparent, "tracestate": tracestate}
            context = _W3C.extract(carrier, context=_NO_CONTEXT)
        span = self._tracer.start_span(
            f"POST {path}", context, SpanKind.SERVER, {"kindling.request_id": request_id}
        )
        if not span.is_recording():
            parent = span.get_span_context()
            named = traceparent and parent.is_valid
            return (format_trace_id(parent.trace_id) if named else None), None
        trace = Trace(self._tracer, span)
        return trace.trace_id, trace


class Trace:
    """The spans of one request."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span
        self._context = set_span_in_context(span, _NO_CONTEXT)
        self._runs = 0
        # From the clock that runs are timed by to that of the world.
        self._offset = time.time_ns() - time.perf_counter_ns()
        context = span.get_span_context()
        self.trace_id = format_trace_id(context.trace_id)
        self.span_id = format_span_id(context.span_id)

    def ran(
        self,
        asked: float,
        began: float,
        ended: float,
        *,
        served: Served,
        rows: int,
        failed: bool,
    ) -> None:
        """One run of a model, in times of ``time.perf_counter``."""
        self._runs += 1
        if self._runs > _MOST_RUNS:
            return
        attributes = {"kindling.rows": rows, "kindling.queue_seconds": began - asked}
        batch = self._begin("batch", self._context, asked, attributes, failed=failed)
        if ended > began:
            inner = set_span_in_context(batch, _NO_CONTEXT)
            span = self._begin("model", inner, began, _model(served), failed=failed)
            span.end(self._at(ended))
        batch.end(self._at(ended))

    def end(self, status: int, served: Served | None) -> None:
        """The request is answered."""
        span = self._span
        known = {**_model(served), "kindling.runs": self._runs} if served else {}
        span.set_attributes({"http.response.status_code": status, **known})
        span.set_status(StatusCode.ERROR if status >= 500 else StatusCode.OK)
        span.end()

    def _begin(
        self,
        name: str,
        context: Context,
        start: float,
        attributes: Mapping[str, str | int | float],
        *,
        failed: bool,
    ) -> Span:
        span = self._tracer.start_span(
            name, context=context, attributes=attributes, start_time=self._at(start)
        )
        span.set_status(StatusCode.ERROR if failed else StatusCode.OK)
        return span

    def _at(self, seconds: float) -> int:
        return int(seconds * 1e9) + self._offset


def _model(served: Served) -> dict[str, str | int | float]:
    return {"kindling.model": served.name, "kindling.version": served.version}
