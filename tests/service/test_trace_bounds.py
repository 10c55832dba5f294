"""Traces: how many there are, how long one is, and how many wait, whatever clients ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import structlog
from chat_server import Scripted
from conftest import wait_until
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags, Status
from otlp_collector import attributes
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from service import trace_sampling
from service.app import create_app
from service.errors import RegistryUnreachableError
from service.metrics import Metrics
from service.models import Models, Served
from service.observed import Observed
from service.settings import Settings
from service.trace_encode import encode_traces
from service.trace_export import Exporter, TraceMetrics
from service.trace_sampling import Sampling
from service.tracing import Trace, Tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time that bounds are of: ``now``."""
    held = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(trace_sampling, "time", SimpleNamespace(monotonic=lambda: held.now))
    return held


def taken(ask: Callable[[], int | bool]) -> int:
    """How many of many requests in the same moment are traced."""
    return sum(bool(ask()) for _ in range(100))


def test_each_kind_of_request_has_a_bound_of_its_own_that_fills_up_again(
    clock: SimpleNamespace,
) -> None:
    refused: list[None] = []
    sampling = Sampling(1, 3, lambda: refused.append(None))
    assert (taken(sampling.joins), taken(sampling.draw)) == (3, 3)
    assert len(refused) == 194
    clock.now += 0.75
    assert (taken(sampling.joins), taken(sampling.draw)) == (2, 2)
    # An hour without requests is not saved up.
    clock.now += 3600
    assert (taken(sampling.joins), taken(sampling.draw)) == (3, 3)


def test_the_lower_half_of_an_id_decides_as_other_services_samplers_have_it() -> None:
    sampling = Sampling(0.25, 10_000, lambda: None)
    drawn = [found for _ in range(400) if (found := sampling.draw())]
    assert drawn
    assert max(found & (2**64 - 1) for found in drawn) < 2**62


def begin(served: Served, *, parent: str = "", runs: int = 0, failed: bool = False) -> Trace:
    """A trace with runs that have not begun to wait."""
    tracing = Tracing(lambda _: None, Sampling(1, 100, lambda: None))
    _, trace = tracing.begin(parent.encode(), b"")
    assert trace is not None
    for number in range(runs):
        trace.ran(number, number, number + 1, served=served, rows=1, failed=failed)
    trace.request = Observed("mine", "POST", "/predict")
    trace.offset = 0
    return trace


def answered(status: int, served: Served) -> Observed:
    """A request to ``served`` that is answered."""
    request = Observed("mine", "POST", "/predict")
    request.status, request.served = status, served
    return request


def encoded(trace: Trace) -> list[Span]:
    (whole,) = ExportTraceServiceRequest.FromString(encode_traces([trace])).resource_spans
    return list(whole.scope_spans[0].spans)


def test_of_many_runs_the_first_are_told_and_all_are_counted(served: Served) -> None:
    trace = begin(served, runs=1000)
    trace.end(answered(200, served))
    spans = encoded(trace)
    assert len(spans) == trace.spans == 17
    assert attributes(spans[0])["kindling.runs"] == 1000


@pytest.mark.parametrize(
    ("shape", "tokens", "status", "expected"),
    [
        ((1, 64), None, 200, ("1 row of 64 values", "HTTP 200: 1 prediction")),
        ((2, 1), None, 200, ("2 rows of 1 value", "HTTP 200: 2 predictions")),
        ((2,), None, 500, ("2 rows", "HTTP 500")),
        ((), (12, 1), 200, ("12 tokens", "HTTP 200: 1 token")),
        ((), None, 200, ("of unknown size", "HTTP 200")),
        ((), None, 422, ("nothing that the model takes", "HTTP 422")),
    ],
)
def test_a_request_is_shown_by_the_size_of_its_input_and_output(
    served: Served, shape: tuple[int, ...], tokens: tuple[int, int] | None, status: int,
    expected: tuple[str, str],
) -> None:  # fmt: skip
    trace = begin(served)
    trace.shape, trace.tokens = shape, tokens
    trace.end(answered(status, served))
    told = attributes(encoded(trace)[0])
    assert (told["input.value"], told["output.value"]) == expected


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_trace_of_a_chat_tells_its_tokens_and_nothing_of_its_text(*, is_stream: bool) -> None:
    traces: list[Trace] = []
    models, metrics = Models(["text"]), Metrics(["text"])
    models.put(Scripted("then").served())
    tracing = Tracing(traces.append, Sampling(1, 100, lambda: None))
    with TestClient(create_app(Settings(), models, metrics=metrics, tracing=tracing)) as client:
        completion = client.post(
            "/v1/chat/completions",
            json={
                "model": "text", "max_tokens": 4, "stream": is_stream,
                "messages": [{"role": "user", "content": "planted"}],
            },
        )  # fmt: skip
        assert completion.status_code == 200
        wait_until(lambda: bool(traces), "the request is recorded")
    told = attributes(encoded(traces[0])[0])
    assert told["input.value"].split()[1:] == ["tokens"]
    assert told["output.value"] == "HTTP 200: 4 tokens"
    message = encode_traces(traces)
    assert b"planted" not in message
    assert b"then" not in message


def test_a_span_lasts_from_the_head_of_its_request_to_the_end_of_the_response(
    served: Served,
) -> None:
    trace = begin(served)
    request = answered(200, served)
    trace.started, request.body_arrived, request.seconds = 10.0, 14.0, 1.0
    trace.end(request)
    (span,) = encoded(trace)
    assert span.end_time_unix_nano - span.start_time_unix_nano == 5_000_000_000
    request.body_arrived = 0.0
    (span,) = encoded(trace)
    assert span.end_time_unix_nano - span.start_time_unix_nano == 1_000_000_000


@pytest.mark.parametrize(("status", "failed"), [(200, False), (422, False), (500, True)])
def test_what_failed_is_told_as_an_error(served: Served, status: int, failed: bool) -> None:
    trace = begin(served, runs=1, failed=failed)
    trace.end(answered(status, served))
    code = Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_OK
    assert [span.status.code for span in encoded(trace)] == [code] * 3


def test_only_the_clients_span_is_told_to_be_elsewhere(served: Served) -> None:
    remote = SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
    for parent, expected in ((PARENT, [True, False, False]), ("", [False] * 3)):
        spans = encoded(begin(served, parent=parent, runs=1))
        assert [bool(span.flags & remote) for span in spans] == expected


class Sink:
    """Fails while ``down``; has what was sent."""

    def __init__(self) -> None:
        self.down = False
        self.sent = 0
        self.tidied = 0

    async def send(self, body: bytes) -> bytes:
        if self.down:
            raise RegistryUnreachableError("it is down")
        whole = ExportTraceServiceRequest.FromString(body)
        self.sent += sum(len(part.scope_spans[0].spans) for part in whole.resource_spans)
        return b""

    async def tidy(self) -> None:
        self.tidied += 1
        raise RegistryUnreachableError("it cannot delete")


def count(registry: CollectorRegistry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(name, labels)
    assert found is not None
    return found


def test_traces_that_wait_are_bounded_and_those_that_come_later_have_room(served: Served) -> None:
    registry, sink = CollectorRegistry(), Sink()
    exporter = Exporter(sink, TraceMetrics(registry))
    for turn in (1, 2):
        for _ in range(1000):
            exporter.add(begin(served, runs=1))
        dropped = count(registry, "trace_spans_dropped_total", reason="queue_full")
        assert dropped == turn * (3000 - 2046)
        asyncio.run(exporter._send_all())
        assert count(registry, "trace_spans_exported_total") == sink.sent == turn * 2046


def test_a_long_outage_is_said_once_and_asked_about_less_and_less(served: Served) -> None:
    registry, sink = CollectorRegistry(), Sink()
    exporter = Exporter(sink, TraceMetrics(registry), seconds=1)
    sink.down = True
    pauses = []
    with structlog.testing.capture_logs() as lines:
        for _ in range(9):
            exporter.add(begin(served))
            asyncio.run(exporter._send_all())
            pauses.append(exporter._pause())
        sink.down = False
        exporter.add(begin(served))
        asyncio.run(exporter._send_all())
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert exporter._pause() == 1
    said = [line["event"] for line in lines]
    assert said == ["traces not exported", "traces are exported again"]
    assert count(registry, "trace_spans_dropped_total", reason="export_failed") == 9
    assert sink.sent == 1


def test_traces_are_sent_on_when_old_ones_cannot_be_deleted(served: Served) -> None:
    registry, sink = CollectorRegistry(), Sink()
    exporter = Exporter(sink, TraceMetrics(registry), seconds=0.01)

    async def run() -> None:
        task = asyncio.create_task(exporter.run())
        async with asyncio.timeout(20):
            while not sink.tidied:
                await asyncio.sleep(0.01)
            exporter.add(begin(served))
            while not sink.sent:
                await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()

    asyncio.run(run())
