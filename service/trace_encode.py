"""Traces as OTLP has them: a span for the request, in it one for each batch, in it the model.

Written as messages of the protocol, many traces at once: an SDK's spans take several times as long,
a request at a time.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import (
    ResourceSpans,
    ScopeSpans,
    Span,
    SpanFlags,
    Status,
)

from service.models import Named
from service.tracing import Run, Trace, new_span_id

_KINDS: Mapping[type, str] = {str: "string_value", int: "int_value", float: "double_value"}
_OK = Status(code=Status.STATUS_CODE_OK)
_ERROR = Status(code=Status.STATUS_CODE_ERROR)
_SCOPE = InstrumentationScope(name="kindling.service")
_KNOWN = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE = _KNOWN | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK


def encode_traces(traces: Sequence[Trace]) -> bytes:
    """An ExportTraceServiceRequest."""
    spans = [span for trace in traces for span in _spans(trace)]
    scoped = ScopeSpans(scope=_SCOPE, spans=spans)
    whole = ResourceSpans(resource=_resource(), scope_spans=[scoped])
    message: bytes = ExportTraceServiceRequest(resource_spans=[whole]).SerializeToString()
    return message


def _resource() -> Resource:
    return Resource(
        attributes=_attributes({"service.name": "serving", "host.name": socket.gethostname()})
    )


def _spans(trace: Trace) -> Iterator[Span]:
    trace_id, own = trace.number.to_bytes(16, "big"), trace.span_number.to_bytes(8, "big")
    parent, served = trace.parent, trace.served
    known: dict[str, Any] = {"kindling.request_id": trace.request_id}
    if served:
        known |= _model(served) | {"kindling.runs": len(trace.runs) + trace.uncounted}
    yield Span(
        trace_id=trace_id,
        span_id=own,
        trace_state=parent.trace_state.to_header() if parent else "",
        parent_span_id=parent.span_id.to_bytes(8, "big") if parent else b"",
        name=f"POST {trace.path}",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=_at(trace, trace.started),
        end_time_unix_nano=_at(trace, trace.ended),
        attributes=_attributes(known | {"http.response.status_code": trace.status}),
        status=_ERROR if trace.status >= 500 else _OK,
        flags=_REMOTE if parent else _KNOWN,
    )
    for run in trace.runs:
        batch = new_span_id().to_bytes(8, "big")
        waited = {"kindling.rows": run.rows, "kindling.queue_seconds": run.began - run.asked}
        yield _span(trace, trace_id, own, batch, run, "batch", run.asked, waited)
        if run.ended > run.began:
            model = new_span_id().to_bytes(8, "big")
            yield _span(trace, trace_id, batch, model, run, "model", run.began, _model(run.served))


def _span(
    trace: Trace,
    trace_id: bytes,
    parent: bytes,
    own: bytes,
    run: Run,
    name: str,
    start: float,
    attributes: Mapping[str, Any],
) -> Span:
    return Span(
        trace_id=trace_id,
        span_id=own,
        trace_state=trace.parent.trace_state.to_header() if trace.parent else "",
        parent_span_id=parent,
        name=name,
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=_at(trace, start),
        end_time_unix_nano=_at(trace, run.ended),
        attributes=_attributes(attributes),
        status=_ERROR if run.failed else _OK,
        flags=_KNOWN,
    )


def _at(trace: Trace, seconds: float) -> int:
    return int(seconds * 1e9) + trace.offset


def _model(served: Named) -> dict[str, Any]:
    return {"kindling.model": served.name, "kindling.version": served.version}


def _attributes(values: Mapping[str, Any]) -> list[KeyValue]:
    return [
        KeyValue(key=key, value=AnyValue(**{_KINDS[type(value)]: value}))
        for key, value in values.items()
    ]
