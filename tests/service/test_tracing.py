"""Traces: which requests have one, what is in it, and that nothing depends on who takes them."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator

import httpx2 as httpx
import pytest
from conftest import Server, wait_until
from otlp_collector import Collector, attributes

from service.errors import RegistryUnreachableError
from service.fetch import Fetcher
from service.schemas import EXAMPLE_ROW
from service.settings import Settings
from service.trace_sinks import MlflowTraces, create_sink

Serve = Callable[..., Server]
TRACE_ID, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE_ID}-{PARENT}-01"}
UNSAMPLED = {"traceparent": f"00-{TRACE_ID}-{PARENT}-00"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def traced(serve: Serve, collector: Collector, **settings: object) -> Server:
    """A service that sends traces to ``collector``."""
    values = {"otlp_endpoint": f"{collector.url}/v1/traces", "drain_seconds": 0, **settings}
    return serve(**values)


def ask(server: Server, **headers: str) -> httpx.Response:
    """One prediction."""
    body = {"instances": [EXAMPLE_ROW] * 3}
    return httpx.post(f"{server.url}/predict", json=body, headers=headers)


def stop(server: Server) -> None:
    """End the service, which sends what it has."""
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0


def count(server: Server, name: str) -> float:
    """A metric without labels, or with all those in ``name``."""
    text = httpx.get(f"{server.url}/metrics").text
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


def test_a_trace_shows_the_request_in_it_the_batch_and_in_it_the_model(
    serve: Serve, collector: Collector
) -> None:
    server = traced(serve, collector, trace_sample_ratio=1)
    before = time.time_ns()
    ask(server, **{"X-Request-ID": "mine"})
    stop(server)
    (request,), (batch,), (model,) = map(collector.named, ("POST /predict", "batch", "model"))
    assert request.parent_span_id == b""
    assert batch.parent_span_id == request.span_id
    assert model.parent_span_id == batch.span_id
    assert request.trace_id == batch.trace_id == model.trace_id
    assert attributes(request) == {
        "kindling.request_id": "mine",
        "kindling.model": "digits",
        "kindling.version": "3",
        "kindling.runs": 1,
        "http.response.status_code": 200,
        "input.value": "3 rows of 64 values",
        "output.value": "HTTP 200: 3 predictions",
    }
    assert attributes(batch)["kindling.rows"] == 3
    assert attributes(model) == {"kindling.model": "digits", "kindling.version": "3"}
    began, ended = request.start_time_unix_nano, request.end_time_unix_nano
    assert before <= began
    assert ended <= time.time_ns()
    assert began <= batch.start_time_unix_nano <= model.start_time_unix_nano
    assert model.end_time_unix_nano <= batch.end_time_unix_nano <= ended


def test_a_request_whose_body_came_slowly_ends_after_what_is_in_it(
    serve: Serve, collector: Collector
) -> None:
    server = traced(serve, collector, trace_sample_ratio=1)

    def body() -> Iterator[bytes]:
        content = json.dumps({"instances": [EXAMPLE_ROW]}).encode()
        yield content[:10]
        time.sleep(0.3)
        yield content[10:]

    answer = httpx.post(f"{server.url}/predict", content=body())
    assert answer.status_code == 200
    stop(server)
    (request,), (batch,) = map(collector.named, ("POST /predict", "batch"))
    began, ended = request.start_time_unix_nano, request.end_time_unix_nano
    assert ended - began >= 0.3e9
    assert batch.end_time_unix_nano <= ended


def test_a_client_that_samples_is_traced_in_its_own_trace_and_one_that_does_not_is_not(
    serve: Serve, collector: Collector
) -> None:
    server = traced(serve, collector, trace_sample_ratio=0)
    ask(server)
    ask(server, **UNSAMPLED)
    ask(server, **SAMPLED, tracestate="vendor=1", baggage="secret=in-baggage")
    ask(server, traceparent="00-nonsense-01")
    # Only what models are asked is traced: a span's name is nothing that a client makes up.
    httpx.post(f"{server.url}/made-up", headers=SAMPLED)
    httpx.get(f"{server.url}/predict", headers=SAMPLED)
    stop(server)
    assert len(collector.spans) == 3
    (request,) = collector.named("POST /predict")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE_ID, PARENT)
    assert request.trace_state == "vendor=1"
    assert b"in-baggage" not in collector.raw


def test_a_client_cannot_have_more_traced_than_the_bound(
    serve: Serve, collector: Collector
) -> None:
    server = traced(serve, collector, trace_sample_ratio=0, trace_max_per_second=0.01)
    for _ in range(5):
        assert ask(server, **SAMPLED).status_code == 200
    assert count(server, "trace_requests_limited_total") == 4
    stop(server)
    assert len(collector.named("POST /predict")) == 1


def test_the_share_of_requests_traced_is_the_one_that_is_set(
    serve: Serve, collector: Collector
) -> None:
    server = traced(serve, collector, trace_sample_ratio=0.3, trace_max_per_second=1000)
    with httpx.Client(base_url=server.url) as client:
        for _ in range(300):
            client.post("/predict", content="{")
    stop(server)
    assert 50 < len(collector.named("POST /predict")) < 130


def test_a_trace_holds_nothing_of_what_was_sent_or_answered(
    serve: Serve, collector: Collector
) -> None:
    server = traced(
        serve,
        collector,
        trace_sample_ratio=1,
        otlp_headers="x-token=in-settings",
        feedback_key="key-in-settings-",
    )
    row = [13.0625, *EXAMPLE_ROW[1:]]
    answer = httpx.post(
        f"{server.url}/predict?q=in-query",
        json={"instances": [row]},
        headers={"Authorization": "Bearer in-header", "Cookie": "in-cookie"},
    )
    httpx.post(f"{server.url}/predict", json={"model": "in-body"})
    stop(server)
    assert len(collector.named("POST /predict")) == 2
    planted = ("13.0625", "in-query", "in-header", "in-cookie", "in-body", "in-settings")
    for text in (*planted, answer.json()["prediction_id"]):
        assert text.encode() not in collector.raw
        assert text not in server.log.read_text()
    assert collector.asked[0][1]["x-token"] == "in-settings"


def test_an_outage_of_the_collector_is_said_once_and_costs_no_request(
    serve: Serve, collector: Collector
) -> None:
    collector.status = 503
    server = traced(serve, collector, trace_sample_ratio=1)

    def said(text: str) -> int:
        return sum(line["message"] == text for line in server.log_lines())

    assert ask(server).status_code == 200
    wait_until(lambda: said("traces not exported") == 1, "it fails", server.log)
    assert ask(server).status_code == 200
    collector.status = 200
    wait_until(lambda: said("traces are exported again") == 1, "it works", server.log)
    assert said("traces not exported") == 1
    assert count(server, 'trace_spans_dropped_total{reason="export_failed"}') == 3
    assert count(server, "trace_spans_exported_total") == 3


def test_spans_that_the_collector_rejects_are_counted_as_lost(
    serve: Serve, collector: Collector
) -> None:
    collector.rejected = 2
    server = traced(serve, collector, trace_sample_ratio=1)
    assert ask(server).status_code == 200
    wait_until(
        lambda: count(server, 'trace_spans_dropped_total{reason="rejected"}') == 2,
        "they are counted",
        server.log,
    )
    assert count(server, "trace_spans_exported_total") == 1
    said = [line for line in server.log_lines() if line["message"] == "spans rejected"]
    assert [(line["spans"], line["sent"]) for line in said] == [(2, 3)]


def test_a_collector_that_hangs_holds_up_no_end(serve: Serve, collector: Collector) -> None:
    over = threading.Event()

    def hang(path: str, body: bytes) -> tuple[int, None]:
        over.wait(20)
        return 503, None

    collector.answer = hang  # type: ignore[method-assign]
    server = traced(serve, collector, trace_sample_ratio=1)
    ask(server)
    server.process.send_signal(signal.SIGTERM)
    try:
        assert server.process.wait(8) == 0
    finally:
        over.set()


def test_mlflow_of_the_registry_gets_traces_into_an_experiment_that_is_made(
    serve: Serve, collector: Collector
) -> None:
    server = traced(
        serve,
        collector,
        trace_sample_ratio=1,
        registry_uri=collector.url,
        registry_username="serving",
        registry_password="in-settings",
    )
    ask(server)
    wait_until(lambda: len(collector.spans) == 3, "they are sent", server.log)
    heads = [heads for path, heads, _ in collector.asked if path == "/v1/traces"]
    assert heads[0]["x-mlflow-experiment-id"] == "7"
    assert heads[0]["content-type"] == "application/x-protobuf"
    assert heads[0]["authorization"].startswith("Basic ")
    assert collector.experiment == "traces"


def test_the_registrys_account_is_told_to_nobody_else(collector: Collector) -> None:
    settings = Settings(
        registry_uri=collector.url[:-1],
        registry_username="serving",
        registry_password="in-settings",
        otlp_endpoint=f"{collector.url}/v1/traces",
    )
    asyncio.run(create_sink(settings).send(b""))
    assert "authorization" not in collector.asked[0][1]


def kept(collector: Collector, most: int) -> MlflowTraces:
    fetcher = Fetcher(collector.url, username="", password="", seconds=5)
    return MlflowTraces(fetcher, "/v1/traces", "traces", days=7, most=most)


def test_the_oldest_traces_are_deleted_until_as_many_are_left_as_may_be(
    collector: Collector,
) -> None:
    # None of them is too old.
    collector.count, collector.old = 1300, 0
    asyncio.run(kept(collector, 100).tidy())
    assert collector.count == 100


def test_traces_that_are_too_old_are_deleted_however_few_there_are(collector: Collector) -> None:
    collector.count = collector.old = 700
    asyncio.run(kept(collector, 10_000).tidy())
    assert collector.count == 0


def test_an_experiment_that_went_is_made_again(collector: Collector) -> None:
    traces = kept(collector, 100)

    async def send() -> None:
        await traces.send(b"")
        collector.experiment, collector.status = None, 404
        with pytest.raises(RegistryUnreachableError):
            await traces.send(b"")
        collector.status = 200
        await traces.send(b"")

    asyncio.run(send())
    assert collector.experiment == "traces"


def test_a_deleted_experiment_is_restored_within_the_interval_of_its_check(
    collector: Collector,
) -> None:
    fetcher = Fetcher(collector.url, username="", password="", seconds=5)

    def sink(seconds: float) -> MlflowTraces:
        return MlflowTraces(
            fetcher, "/v1/traces", "traces", days=7, most=100, check_interval_seconds=seconds
        )

    async def send_around_deletion(traces: MlflowTraces) -> None:
        await traces.send(b"")
        collector.stage = "deleted"
        await traces.send(b"")

    asyncio.run(send_around_deletion(sink(seconds=0)))
    assert (collector.stage, collector.unseen) == ("active", 0)
    # Before it is due again, nothing is asked: a replica sends every few seconds.
    asyncio.run(send_around_deletion(sink(seconds=3600)))
    assert (collector.stage, collector.unseen) == ("deleted", 1)


def test_the_experiment_that_is_made_says_what_it_is(collector: Collector) -> None:
    asyncio.run(kept(collector, 100).send(b""))
    assert collector.tags["mlflow.experimentKind"] == "genai_development"
    assert "Requests to the model service" in collector.tags["mlflow.note.content"]


def test_an_experiment_with_an_odd_id_gets_nothing(collector: Collector) -> None:
    collector.experiment, collector.number = "traces", "7\r\nX-Odd: 1"
    with pytest.raises(RegistryUnreachableError, match="not MLflow's"):
        asyncio.run(kept(collector, 100).send(b""))
    assert "/v1/traces" not in {path for path, _, _ in collector.asked}
