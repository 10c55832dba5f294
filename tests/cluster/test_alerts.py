"""Alerts on a real cluster: they pend, fire, are notified and resolve, for what really is wrong.

The rules are those of the repository with every window shortened; thresholds and logic stay.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cluster_load import Load, call, predict
from conftest import Cluster, eventually, kindling
from mlflow import MlflowClient
from monitored import Monitoring

from loadtests.challenger import faulty_challenger

SHORTENED_BY = 10
DIGITS = {"model": "digits"}


@pytest.fixture(scope="module")
def monitoring(cluster: Cluster) -> Iterator[Monitoring]:
    """Prometheus with shortened rules; the repository's own are there again afterwards."""
    done = kindling("run", "up", "-e", f"prometheus_rules_shortened_by={SHORTENED_BY}")
    assert done.returncode == 0, done.stdout + done.stderr
    yield Monitoring(cluster)
    done = kindling("run", "up")
    assert done.returncode == 0, done.stdout + done.stderr


def fires(monitoring: Monitoring, alert: str, since: float, **labels: str) -> list[Any]:
    """The alert pends, fires, and is notified. Returns the notifications."""
    states: list[str] = []

    def seen() -> bool:
        state = monitoring.state(alert, **labels)
        if state not in states:
            states.append(state)
        return state == "firing"

    eventually(seen, seconds=240, what=f"{alert} fires")
    assert states[-2:] == ["pending", "firing"], states
    found = eventually(
        lambda: monitoring.notified(alert, "firing", since, **labels),
        seconds=60, what=f"{alert} is notified",
    )  # fmt: skip
    assert isinstance(found, list)
    return found


def resolves(monitoring: Monitoring, alert: str, since: float, **labels: str) -> None:
    eventually(
        lambda: monitoring.state(alert, **labels) == "inactive",
        seconds=240, what=f"{alert} is over",
    )  # fmt: skip
    eventually(
        lambda: monitoring.notified(alert, "resolved", since, **labels),
        seconds=120, what=f"the end of {alert} is notified",
    )  # fmt: skip


@pytest.fixture
def faulty(mlflow: MlflowClient) -> Iterator[str]:
    """A registered version that passes its trial and fails on every real request."""
    before = str(mlflow.get_model_version_by_alias("digits", "champion").version)
    with faulty_challenger(mlflow, "digits") as version:
        yield version
        if str(mlflow.get_model_version_by_alias("digits", "champion").version) == version:
            mlflow.set_registered_model_alias("digits", "champion", before)


def test_a_faulty_model_fires_high_error_rate_until_it_is_rolled_back(
    cluster: Cluster, monitoring: Monitoring, holdout: dict[str, Any], faulty: str
) -> None:
    body, began = json.dumps(holdout["request"]).encode(), time.time()
    with Load(cluster.url, body, threads=1, pause=0.05, seconds=400):
        rate = 'sum(rate(llm_requests_total{model="digits"}[30s]))'
        eventually(lambda: (monitoring.value(rate) or 0) > 1, seconds=60, what="there is traffic")
        assert monitoring.state("HighErrorRate", **DIGITS) == "inactive"
        promoted = kindling("models", "promote", "digits", faulty)
        assert promoted.returncode == 0, promoted.stderr
        (notified, *_) = fires(monitoring, "HighErrorRate", began, **DIGITS)
        assert notified["labels"]["severity"] == "critical"
        assert notified["annotations"]["runbook_url"].endswith("docs/runbooks/HighErrorRate.md")
        back = kindling("models", "rollback", "digits")
        assert back.returncode == 0, back.stderr
        resolves(monitoring, "HighErrorRate", began, **DIGITS)


def test_wrong_labels_fire_low_accuracy_until_they_are_right(
    cluster: Cluster, monitoring: Monitoring, holdout: dict[str, Any]
) -> None:
    began, labels = time.time(), holdout["labels"]

    def label(shift: int, rounds: int) -> None:
        for _ in range(rounds):
            answer = predict(cluster.url, json.dumps(holdout["request"]).encode())
            truth = [(one + shift) % 10 for one in labels]
            body = json.dumps({"id": answer["prediction_id"], "labels": truth}).encode()
            call(cluster.url, "/feedback", body)

    # As many as each replica keeps, whatever others labelled before.
    label(shift=1, rounds=150)
    (notified, *_) = fires(monitoring, "LowAccuracy", began, **DIGITS)
    assert "feedback" in notified["annotations"]["description"]
    label(shift=0, rounds=300)
    resolves(monitoring, "LowAccuracy", began, **DIGITS)


def forget(cluster: Cluster) -> None:
    """What was sent is forgotten with the pods that saw it."""
    cluster.kubectl.check("rollout", "restart", "deployment/serving", "--namespace=kindling")
    cluster.kubectl.check(
        "rollout", "status", "deployment/serving", "--namespace=kindling", "--timeout=180s",
        timeout=200,
    )  # fmt: skip


def test_shifted_inputs_fire_model_drift(
    cluster: Cluster, monitoring: Monitoring, mlflow: MlflowClient, holdout: dict[str, Any]
) -> None:
    forget(cluster)
    eventually(
        lambda: monitoring.state("ModelDrift", **DIGITS) == "inactive",
        seconds=240, what="no drift is left of what other tests sent",
    )  # fmt: skip
    began = time.time()
    inverted = [[16 - pixel for pixel in row] for row in holdout["request"]["instances"]]
    body = json.dumps({"instances": inverted}).encode()
    try:
        with Load(cluster.url, body, threads=1, pause=0.05, seconds=400):
            fires(monitoring, "ModelDrift", began, **DIGITS)
        experiment = mlflow.get_experiment_by_name("drift")
        assert experiment is not None
        (run, *_) = mlflow.search_runs([experiment.experiment_id], max_results=1)
        assert [one.path for one in mlflow.list_artifacts(run.info.run_id)]
    finally:
        forget(cluster)
    resolves(monitoring, "ModelDrift", began, **DIGITS)
