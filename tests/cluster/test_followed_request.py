"""One request, followed from its log line to its trace and to the exemplar of a metric."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

from cluster_load import call
from conftest import Cluster, eventually
from mlflow import MlflowClient
from mlflow.entities import Trace
from mlflow.exceptions import MlflowException
from monitored import Monitoring


def log_lines(cluster: Cluster, request_id: str) -> list[dict[str, Any]]:
    text = cluster.kubectl.check(
        "logs", "--namespace=kindling", "--selector=app.kubernetes.io/name=serving",
        "--tail=2000", "--prefix=false",
    )  # fmt: skip
    return [json.loads(line) for line in text.splitlines() if request_id in line]


def test_a_request_can_be_followed_from_its_log_line_to_its_trace_and_an_exemplar(
    cluster: Cluster, mlflow: MlflowClient, holdout: dict[str, Any]
) -> None:
    trace_id, caller = secrets.token_hex(16), secrets.token_hex(8)
    request_id, began = f"test-{trace_id[:8]}", time.time()
    headers = {"traceparent": f"00-{trace_id}-{caller}-01", "X-Request-ID": request_id}
    body = json.dumps(holdout["request"]).encode()
    answer = call(cluster.url, "/predict", body, **headers)

    lines = eventually(lambda: log_lines(cluster, request_id), seconds=20, what="it is logged")
    assert isinstance(lines, list)
    (line,) = lines
    assert (line["request_id"], line["trace_id"]) == (request_id, trace_id)
    assert (line["model"], line["version"], line["status"]) == ("digits", answer["version"], 200)

    def traced() -> Trace | None:
        try:
            return mlflow.get_trace(f"tr-{trace_id}")
        except MlflowException:
            return None

    trace = eventually(traced, seconds=60, what="MLflow shows the trace")
    assert isinstance(trace, Trace)
    spans = {span.name: span for span in trace.data.spans}
    assert spans.keys() == {"POST /predict", "batch", "model"}
    assert spans["model"].parent_id == spans["batch"].span_id
    assert spans["batch"].parent_id == spans["POST /predict"].span_id
    about = spans["POST /predict"].attributes
    assert about["kindling.request_id"] == request_id
    assert str(holdout["request"]["instances"][0][2:6])[1:-1] not in json.dumps(trace.to_dict())

    monitoring = Monitoring(cluster)

    def exemplars() -> list[Any]:
        found = monitoring.ask(
            "query_exemplars", query='llm_request_latency_seconds_bucket{model="digits"}',
            start=str(began - 60), end=str(time.time() + 60),
        )  # fmt: skip
        return [
            one
            for series in found
            for one in series["exemplars"]
            if one["labels"].get("trace_id") == trace_id
        ]

    assert eventually(exemplars, seconds=60, what="the trace is an exemplar")


def test_a_deleted_experiment_of_traces_is_restored_by_the_service(
    cluster: Cluster, mlflow: MlflowClient, holdout: dict[str, Any]
) -> None:
    """MLflow takes spans for it all the same, and shows them to nobody."""
    body = json.dumps(holdout["request"]).encode()

    def send_traced() -> None:
        sampled = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
        call(cluster.url, "/predict", body, traceparent=sampled)

    def stage() -> str | None:
        found = mlflow.get_experiment_by_name("traces")
        return found.lifecycle_stage if found else None

    send_traced()
    eventually(lambda: stage() == "active", seconds=60, what="there are traces")
    mlflow.delete_experiment(mlflow.get_experiment_by_name("traces").experiment_id)
    assert stage() == "deleted"

    def restored() -> bool:
        send_traced()
        return stage() == "active"

    eventually(restored, seconds=120, what="the experiment is restored")
