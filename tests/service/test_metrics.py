"""/metrics: what is counted, under which model and version, and that it stays small."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import pytest
from conftest import wait_until
from fake_registry import FakeRegistry
from fastapi.testclient import TestClient
from model_graphs import FEATURES, package
from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from service.errors import ServiceError
from service.metrics import KEPT, STATUSES, Metrics
from service.models import Served
from service.schemas import EXAMPLE_ROW

# What Prometheus 3 sends.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


def test_requests_are_counted_by_model_version_and_status(
    make_client: Callable[..., TestClient], served: Served
) -> None:
    other = dataclasses.replace(served, name="other", version="9")
    client = make_client(served, other)
    client.post("/predict", json={"instances": [EXAMPLE_ROW]})
    client.post("/predict", json={"instances": [EXAMPLE_ROW], "model": "other"})
    client.post("/predict", json={"instances": [EXAMPLE_ROW[1:]]})
    client.post("/predict", json={"instances": [EXAMPLE_ROW], "model": "absent"})
    client.get("/predict")
    text = client.get("/metrics").text
    for labels, value in {
        'model="digits",status="200",version="3"': 1,
        'model="digits",status="422",version="3"': 1,
        'model="digits",status="500",version="3"': 0,
        'model="other",status="200",version="9"': 1,
        'model="unknown",status="404",version="unknown"': 1,
        'model="unknown",status="405",version="unknown"': 1,
    }.items():
        assert f"llm_requests_total{{{labels}}} {value}.0" in text
    assert 'llm_request_latency_seconds_count{model="digits",version="3"} 1.0' in text
    assert 'llm_tokens_total{model="digits",type="output",version="3"} 0.0' in text
    assert "http_requests_in_flight 0.0" in text
    accuracy = served.descriptor.accuracy
    assert (
        'model_accuracy{kind="classifier",model="digits",source="evaluation",version="3"}'
        f" {accuracy}" in text
    )
    assert 'model_info{kind="classifier",model="digits",version="3"} 1.0' in text
    assert 'model_swaps_total{model="digits"} 0.0' in text
    assert 'model_refused_total{model="digits"} 0.0' in text


@pytest.mark.parametrize(
    ("status", "timed"),
    [
        *((s, 1) for s in (200, 500, 502, 504)),
        *((s, 0) for s in (404, 405, 408, 413, 422, 499, 503)),
    ],
)
def test_only_what_was_not_refused_is_timed(status: int, timed: int) -> None:
    metrics = Metrics()
    metrics.served("digits", "1", 1.0)
    metrics.answered("digits", "1", status, 0.5)
    count = metrics.registry.get_sample_value
    labels = {"model": "digits", "version": "1"}
    assert count("llm_requests_total", {**labels, "status": str(status)}) == 1
    assert count("llm_request_latency_seconds_count", labels) == timed


def test_a_status_that_is_none_of_ours_is_counted_as_other() -> None:
    metrics = Metrics()
    metrics.served("digits", "1", 1.0)
    for status in (418, 599):
        metrics.answered("digits", "1", status, 0.5)
    labels = {"model": "digits", "version": "1"}
    assert sample(metrics, "llm_requests_total", **labels, status="other") == 2
    assert sample(metrics, "llm_requests_total", **labels, status="418") is None


def test_every_documented_answer_is_counted_under_its_own_status(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/predict", "/v1/chat/completions"):
        assert {int(status) for status in paths[path]["post"]["responses"]} <= STATUSES
    assert {error.status_code for error in ServiceError.__subclasses__()} <= STATUSES


def test_nothing_a_client_sends_becomes_a_label(client: TestClient) -> None:
    before = client.get("/metrics").text.count("\n")
    for path in ("/nothing", "/predict/7", "/predict?model=7", "/predict"):
        client.post(path, json={"model": "seven", "instances": [EXAMPLE_ROW]})
    client.post("/predict", json={"model": "seven"})
    client.request("BREW", "/predict")
    after = client.get("/metrics").text
    assert after.count("\n") == before
    assert "seven" not in after


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    """A sample's value, None if there is none."""
    return metrics.registry.get_sample_value(name, labels)


def series(metrics: Metrics) -> set[tuple[str, str]]:
    """Models and versions that have series of requests."""
    return {
        (sample.labels["model"], sample.labels["version"])
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if "version" in sample.labels
        and metric.name.startswith(("llm_", "inference_", "model_"))
        and sample.labels["model"] != "unknown"
    }


def test_only_the_last_versions_of_a_model_keep_their_series() -> None:
    metrics = Metrics()
    metrics.served("other", "1", 1.0)
    for number in range(1, 20):
        metrics.served("digits", str(number), 1.0)
    last = [("digits", str(number)) for number in range(20 - KEPT, 20)]
    assert series(metrics) == {("other", "1"), *last}
    assert metrics.registry.get_sample_value("model_swaps_total", {"model": "digits"}) == 18
    info = {"kind": "classifier", "model": "digits", "version": "19"}
    assert metrics.registry.get_sample_value("model_info", info) == 1
    assert metrics.registry.get_sample_value("model_info", info | {"version": "18"}) is None


def test_a_request_to_a_version_long_gone_brings_no_series_back() -> None:
    metrics = Metrics()
    for number in range(1, KEPT + 2):
        metrics.served("digits", str(number), 1.0)
    metrics.answered("digits", "1", 200, 0.5)
    metrics.tokens("digits", "1", input=3, output=4)
    assert ("digits", "1") not in series(metrics)
    gone = {"model": "unknown", "version": "unknown"}
    assert metrics.registry.get_sample_value("llm_requests_total", gone | {"status": "200"}) == 1
    assert metrics.registry.get_sample_value("llm_tokens_total", gone | {"type": "output"}) == 4


def test_a_run_that_ends_when_its_model_is_gone_brings_no_series_back() -> None:
    metrics = Metrics()
    metrics.served("mine", "1", None, "tabular")
    metrics.inference.ran("mine", "1", waits=[0.1], rows=1, seconds=0.1)
    assert 'model="mine"' in generate_latest(metrics.registry).decode()
    metrics.gone("mine")
    metrics.inference.ran("mine", "1", waits=[0.1], rows=1, seconds=0.1)
    assert 'model="mine"' not in generate_latest(metrics.registry).decode()


def test_a_rollback_goes_on_counting_where_it_was() -> None:
    metrics = Metrics()
    for version in ("1", "2", "1", "2", "1"):
        metrics.served("digits", version, 1.0)
        metrics.answered("digits", version, 200, 0.5)
    labels = {"model": "digits", "version": "1", "status": "200"}
    assert metrics.registry.get_sample_value("llm_requests_total", labels) == 3


def test_the_series_of_a_new_version_are_there_before_its_first_request(
    follow: Callable[..., TestClient], registry: FakeRegistry
) -> None:
    registry.publish("digits", package())
    client = follow()
    wait_until(lambda: client.get("/ready").status_code == 200, "it is served")
    labels = 'model="digits",status="200",version="1"'
    assert f"llm_requests_total{{{labels}}} 0.0" in client.get("/metrics").text
    client.post("/predict", json={"instances": [[1] * FEATURES]})
    assert f"llm_requests_total{{{labels}}} 1.0" in client.get("/metrics").text


def test_every_kind_of_version_says_how_well_it_was_evaluated() -> None:
    metrics = Metrics()
    metrics.served("text", "1", 0.4, "text-generator")
    labels = {"model": "text", "version": "1", "kind": "text", "source": "evaluation"}
    assert sample(metrics, "model_accuracy", **labels) == 0.4
    assert sample(metrics, "model_feedback_labels", model="text", version="1") is None


def test_a_scraper_gets_the_format_that_it_asks_for(client: TestClient) -> None:
    client.post("/predict", json={"instances": [EXAMPLE_ROW]})
    plain = client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    for accept in ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", PROMETHEUS):
        answer = client.get("/metrics", headers={"Accept": accept})
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.text.endswith("# EOF\n")
        families = {family.name for family in text_string_to_metric_families(answer.text)}
        assert {"llm_requests", "inference_seconds", "model_info"} <= families
    odd = client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=x"})
    assert odd.status_code == 200


def test_the_bounds_of_times_are_those_of_alerts_and_objectives() -> None:
    metrics = Metrics(["digits"])
    metrics.served("digits", "1", 1.0)
    text = generate_latest(metrics.registry).decode()
    for name in ("llm_request_latency_seconds", "inference_seconds", "inference_queue_seconds"):
        for bound in ("0.5", "5.0"):
            assert f'{name}_bucket{{le="{bound}",model="digits"' in text


def test_only_a_traced_request_is_an_exemplar() -> None:
    metrics = Metrics()
    metrics.served("digits", "1", 1.0)
    metrics.answered("digits", "1", 200, 0.04)
    assert "# {" not in openmetrics.generate_latest(metrics.registry).decode()
    metrics.answered("digits", "1", 200, 0.3, "0af7651916cd43dd8448eb211c80319c")
    lines = openmetrics.generate_latest(metrics.registry).decode().splitlines()
    (line,) = [line for line in lines if "# {" in line]
    assert line.startswith('llm_request_latency_seconds_bucket{le="0.5"')
    assert '# {trace_id="0af7651916cd43dd8448eb211c80319c"} 0.3' in line


def test_runs_of_models_are_counted_and_timed(client: TestClient) -> None:
    def told(name: str) -> float:
        lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(name)]
        return float(lines[0].rpartition(" ")[2])

    assert told('inference_batch_size_count{model="digits"}') == 0
    client.post("/predict", json={"instances": [EXAMPLE_ROW] * 5})
    client.post("/predict", json={"instances": [EXAMPLE_ROW[1:]]})
    assert told('inference_batch_size_sum{model="digits"}') == 5
    assert told('inference_queue_seconds_count{model="digits"}') == 1
    assert told('inference_seconds_count{model="digits",version="3"}') == 1
    assert 0 < told('inference_seconds_sum{model="digits",version="3"}') < 5


def test_requests_that_wait_for_a_thread_and_those_turned_away_are_told(
    make_client: Callable[..., TestClient], served: Served
) -> None:
    finish = threading.Event()

    class Slow:
        def predict(self, rows: Any, options: Any) -> Any:
            assert finish.wait(10)
            return served.runner.predict(rows, options)

    slow = dataclasses.replace(served, runner=Slow())
    client = make_client(slow, inference_workers=1, max_in_flight=3)

    def post() -> None:
        client.post("/predict", json={"instances": [EXAMPLE_ROW]})

    threads = [threading.Thread(target=post) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: "inference_queue_depth 2.0" in client.get("/metrics").text, "two wait")
        post()
        assert "http_requests_rejected_total 1.0" in client.get("/metrics").text
    finally:
        finish.set()
        for thread in threads:
            thread.join(10)
    assert "inference_queue_depth 0.0" in client.get("/metrics").text


def test_a_wait_that_ends_without_a_thread_is_told_as_a_wait_alone(
    make_client: Callable[..., TestClient], served: Served
) -> None:
    finish = threading.Event()

    class Stuck:
        def predict(self, *_: Any) -> Any:
            assert finish.wait(10)
            return served.runner.predict(*_)

    stuck = dataclasses.replace(served, runner=Stuck())
    client = make_client(stuck, inference_workers=1, request_seconds=0.2)

    def post() -> None:
        client.post("/predict", json={"instances": [EXAMPLE_ROW]})

    threads = [threading.Thread(target=post) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    finish.set()
    text = client.get("/metrics").text
    assert 'inference_queue_seconds_count{model="digits"} 2.0' in text
    assert 'inference_batch_size_count{model="digits"} 1.0' in text
    assert "inference_queue_depth 0.0" in text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", {"instances": [["a"]]}),
        ("/predict", {"model": "digits"}),
        ("/predict", {"model": "digits", "instances": [[1.0]]}),
        ("/invocations", {"inputs": [["a"]]}),
        ("/v2/models/digits/infer", {"inputs": 3}),
    ],
)
def test_a_refused_request_counts_under_the_model_that_it_is_for(
    client: TestClient, path: str, body: dict[str, Any]
) -> None:
    response = client.post(path, json=body)
    assert response.status_code == 422
    assert response.headers["x-model-name"] == "digits"
    line = 'llm_requests_total{model="digits",status="422",version="3"} 1.0'
    assert line in client.get("/metrics").text


@pytest.mark.parametrize("body", ["[]", "{", '{"model": "other", "instances": 3}'])
def test_a_refused_request_of_no_model_counts_under_none(client: TestClient, body: str) -> None:
    assert client.post("/predict", content=body).status_code == 422
    line = 'llm_requests_total{model="unknown",status="422",version="unknown"} 1.0'
    assert line in client.get("/metrics").text
