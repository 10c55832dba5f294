"""Alerts on a real cluster: they pend, fire, are notified and resolve, for what really is wrong.

The rules are those of the repository with every window shortened; thresholds and logic stay. Two
things are wrong at the same time, so that one waits while the other is seen. HighErrorRate is the
load test's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cluster_autoscaler import hold_at_minimum
from cluster_load import Load, call, predict
from conftest import Cluster, eventually, kindling
from mlflow import MlflowClient
from monitored import Monitoring

from loadtests.autoscaler import release

# No window gets shorter than some scrapes, so that each is as short as it can be.
SHORTENED_BY = 60
DIGITS = {"model": "digits"}
ALERTS = ("LowAccuracy", "ModelDrift")


def rules(shortened_by: float) -> None:
    done = kindling("run", "prometheus", "-e", f"prometheus_rules_shortened_by={shortened_by}")
    assert done.returncode == 0, done.stdout + done.stderr


def forget(cluster: Cluster) -> None:
    """What was sent is forgotten with the pods that saw it."""
    cluster.kubectl.check("rollout", "restart", "deployment/serving", "--namespace=kindling")
    cluster.kubectl.check(
        "rollout", "status", "deployment/serving", "--namespace=kindling", "--timeout=180s",
        timeout=200,
    )  # fmt: skip


@pytest.fixture(scope="module")
def monitoring(cluster: Cluster) -> Iterator[Monitoring]:
    """Prometheus with shortened rules; the repository's own are there again afterwards."""
    rules(SHORTENED_BY)
    yield Monitoring(cluster)
    rules(1)


def label(cluster: Cluster, holdout: dict[str, Any], *, shift: int, rounds: int) -> None:
    """Send labels of predictions, each one ``shift`` off the truth."""
    truth = [(one + shift) % 10 for one in holdout["labels"]]
    for _ in range(rounds):
        answer = predict(cluster.url, json.dumps(holdout["request"]).encode())
        body = json.dumps({"id": answer["prediction_id"], "labels": truth}).encode()
        call(cluster.url, "/feedback", body)


@dataclass(frozen=True)
class Wrong:
    """Inputs that are unlike the training's, and labels unlike the answers."""

    since: float
    inputs: Load


@pytest.fixture(scope="module")
def wrong(cluster: Cluster, monitoring: Monitoring, holdout: dict[str, Any]) -> Iterator[Wrong]:
    """Both at the same time, in pods that have seen nothing else; forgotten afterwards."""
    selector = "--selector=app.kubernetes.io/name=serving"
    inverted = [[16 - pixel for pixel in row] for row in holdout["request"]["instances"]]
    body = json.dumps({"instances": inverted}).encode()
    environment = hold_at_minimum()
    try:
        forget(cluster)
        # A pod that is about to end still gets requests, and takes their labels with it.
        eventually(
            lambda: len(cluster.kubectl.items("pods", "--namespace=kindling", selector)) == 1,
            seconds=90, what="the pods before are gone",
        )  # fmt: skip
        # What a pod exported until it ended is in the rules' windows for as long as these are.
        eventually(
            lambda: {monitoring.state(alert, **DIGITS) for alert in ALERTS} == {"inactive"},
            seconds=360, what="nothing is left of what other tests sent",
        )  # fmt: skip
        since = time.time()
        with Load(cluster.url, body, threads=1, pause=0.05, seconds=600) as inputs:
            label(cluster, holdout, shift=1, rounds=10)
            yield Wrong(since, inputs)
        if monitoring.state("ModelDrift", **DIGITS) != "inactive":
            forget(cluster)
    finally:
        release(environment)


def fires(monitoring: Monitoring, alert: str, since: float) -> list[Any]:
    """The alert pends, fires, and is notified. Returns the notifications."""
    states: list[str] = []

    def fired() -> bool:
        states[:] = monitoring.states(alert, since, **DIGITS)
        return "firing" in states

    eventually(fired, seconds=240, what=f"{alert} fires")
    assert states == ["pending", "firing"]
    found = eventually(
        lambda: monitoring.notified(alert, "firing", since, **DIGITS),
        seconds=60, what=f"{alert} is notified",
    )  # fmt: skip
    assert isinstance(found, list)
    return found


def resolves(monitoring: Monitoring, alert: str, since: float) -> None:
    eventually(
        lambda: monitoring.state(alert, **DIGITS) == "inactive",
        seconds=240, what=f"{alert} is over",
    )  # fmt: skip
    eventually(
        lambda: monitoring.notified(alert, "resolved", since, **DIGITS),
        seconds=120, what=f"the end of {alert} is notified",
    )  # fmt: skip


def test_wrong_labels_fire_low_accuracy_until_they_are_right(
    cluster: Cluster, monitoring: Monitoring, holdout: dict[str, Any], wrong: Wrong
) -> None:
    (notified, *_) = fires(monitoring, "LowAccuracy", wrong.since)
    assert "feedback" in notified["annotations"]["description"]
    label(cluster, holdout, shift=0, rounds=60)
    resolves(monitoring, "LowAccuracy", wrong.since)


def test_shifted_inputs_fire_model_drift(
    cluster: Cluster, monitoring: Monitoring, mlflow: MlflowClient, wrong: Wrong
) -> None:
    fires(monitoring, "ModelDrift", wrong.since)
    experiment = mlflow.get_experiment_by_name("drift")
    assert experiment is not None
    (run, *_) = mlflow.search_runs([experiment.experiment_id], max_results=1)
    assert [one.path for one in mlflow.list_artifacts(run.info.run_id)]
    wrong.inputs.stop()
    forget(cluster)
    resolves(monitoring, "ModelDrift", wrong.since)
