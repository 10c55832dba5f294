"""Traces as OTLP has them: a span for the request, in it one for each batch, in it the model.

Written as messages of the protocol, many traces at once, and each span as a copy of one like it: an
SDK's spans take many times as long, a request at a time.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
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
from service.observed import Observed
from service.tracing import Run, Trace, new_span_id

# The request is at fault.
_REFUSED = frozenset({400, 413, 415, 422})
# A model's name and version.
_Names = tuple[str, str]
_KINDS: Mapping[type, str] = {str: "string_value", int: "int_value", float: "double_value"}
_OK = Status(code=Status.STATUS_CODE_OK)
_ERROR = Status(code=Status.STATUS_CODE_ERROR)
# By OpenInference's names MLflow, and others, show them beside each trace.
_INPUT, _OUTPUT = "input.value", "output.value"
_SCOPE = InstrumentationScope(name="kindling.service")
_KNOWN = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE = _KNOWN | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK


def encode_traces(traces: Sequence[Trace]) -> bytes:
    """An ExportTraceServiceRequest."""
    scoped = ScopeSpans(scope=_SCOPE)
    for trace in traces:
        _add(trace, scoped.spans)
    whole = ResourceSpans(resource=_resource(), scope_spans=[scoped])
    message: bytes = ExportTraceServiceRequest(resource_spans=[whole]).SerializeToString()
    return message


def rejected_spans(response: bytes) -> int:
    """How many spans the ExportTraceServiceResponse rejects: OTLP's partial success.

    0 for what is no such message: there are servers that respond with something else to all.
    """
    try:
        rejected = ExportTraceServiceResponse.FromString(response).partial_success.rejected_spans
    except DecodeError:
        return 0
    return max(0, int(rejected))


def _resource() -> Resource:
    return Resource(
        attributes=_attributes({"service.name": "serving", "host.name": socket.gethostname()})
    )


def _add(trace: Trace, spans: Any) -> None:
    trace_id, own = trace.number.to_bytes(16, "big"), trace.span_number.to_bytes(8, "big")
    state = trace.parent.trace_state.to_header() if trace.parent else ""
    parent = trace.parent.span_id.to_bytes(8, "big") if trace.parent else b""

    def add(template: Span, own: bytes, parent: bytes, start: float, end: float) -> Span:
        span: Span = spans.add()
        span.CopyFrom(template)
        span.trace_id, span.span_id, span.parent_span_id = trace_id, own, parent
        span.start_time_unix_nano, span.end_time_unix_nano = _at(trace, start), _at(trace, end)
        if state:
            span.trace_state = state
        return span

    request = trace.request
    template = _request(
        request.path[:200], _names(request.served), is_remote=trace.parent is not None
    )
    # The time that a request took is counted from when its body had arrived.
    ended = (request.body_arrived or trace.started) + request.seconds
    span = add(template, own, parent, trace.started, ended)
    span.attributes[0].value.string_value = request.request_id
    span.attributes[1].value.int_value = request.status
    span.attributes[2].value.int_value = len(trace.runs) + trace.uncounted
    span.attributes[3].value.string_value = _input_of(trace)
    span.attributes[4].value.string_value = _output_of(trace, request)
    if request.status >= 500:
        span.status.CopyFrom(_ERROR)
    for run in trace.runs:
        _add_run(run, own, add)


def _add_run(run: Run, parent: bytes, add: Callable[..., Span]) -> None:
    batch = new_span_id().to_bytes(8, "big")
    span = add(_BATCH, batch, parent, run.asked, run.ended)
    span.attributes[0].value.int_value = run.rows
    span.attributes[1].value.double_value = run.began - run.asked
    found = [span]
    if run.ended > run.began:
        own = new_span_id().to_bytes(8, "big")
        found.append(
            add(_model((run.served.name, run.served.version)), own, batch, run.began, run.ended)
        )
    for each in found:
        each.status.CopyFrom(_ERROR if run.failed else _OK)


@lru_cache(maxsize=256)
def _request(path: str, names: _Names | None, *, is_remote: bool) -> Span:
    return Span(
        name=f"POST {path}",
        kind=Span.SPAN_KIND_SERVER,
        status=_OK,
        flags=_REMOTE if is_remote else _KNOWN,
        # The first ones are filled in for each request.
        attributes=_attributes(
            {
                "kindling.request_id": "",
                "http.response.status_code": 0,
                "kindling.runs": 0,
                _INPUT: "",
                _OUTPUT: "",
            }
            | (_named(names) if names else {})
        ),
    )


@lru_cache(maxsize=64)
def _model(names: _Names) -> Span:
    return _internal("model", _named(names))


def _internal(name: str, attributes: Mapping[str, Any]) -> Span:
    kind = Span.SPAN_KIND_INTERNAL
    return Span(name=name, kind=kind, flags=_KNOWN, attributes=_attributes(attributes))


def _at(trace: Trace, seconds: float) -> int:
    return int(seconds * 1e9) + trace.offset


def _input_of(trace: Trace) -> str:
    """How large the input was; of what it was, traces hold nothing."""
    if trace.tokens:
        return _count(trace.tokens[0], "token")
    if trace.shape:
        rows, *values = trace.shape
        return " of ".join([_count(rows, "row"), *(_count(each, "value") for each in values)])
    refused = trace.request.status in _REFUSED
    return "nothing that the model takes" if refused else "of unknown size"


def _output_of(trace: Trace, request: Observed) -> str:
    status = f"HTTP {request.status}"
    if request.status != 200:
        return status
    if trace.tokens:
        return f"{status}: {_count(trace.tokens[1], 'token')}"
    return f"{status}: {_count(trace.shape[0], 'prediction')}" if trace.shape else status


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _names(served: Named | None) -> _Names | None:
    # What is kept by them must not keep the model.
    return (served.name, served.version) if served else None


def _named(names: _Names) -> dict[str, Any]:
    return {"kindling.model": names[0], "kindling.version": names[1]}


def _attributes(values: Mapping[str, Any]) -> list[KeyValue]:
    return [
        KeyValue(key=key, value=AnyValue(**{_KINDS[type(value)]: value}))
        for key, value in values.items()
    ]


_BATCH = _internal("batch", {"kindling.rows": 0, "kindling.queue_seconds": 0.0})
