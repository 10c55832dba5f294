"""Scaling by requests in flight and by CPU: what the autoscaler sees, and each signal alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cluster_autoscaler import autoscaler, rest
from cluster_load import Load
from conftest import Cluster, eventually
from slow_clients import SlowClients

from kindling import paths
from kindling.pods import serving_pods

GAUGE = "http_requests_in_flight"
API = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/kindling/pods/*"
ADAPTER = ("deployment/prometheus-adapter", "--namespace=kindling")


def in_flight(cluster: Cluster) -> dict[str, str]:
    """The gauge of each serving pod, by its name, as the custom metrics API has it."""
    labels = "labelSelector=app.kubernetes.io%2Fname%3Dserving"
    done = cluster.kubectl.run("get", f"--raw={API}/{GAUGE}?{labels}", timeout=15)
    if done.returncode:
        return {}
    items = json.loads(done.stdout)["items"]
    return {item["describedObject"]["name"]: item["value"] for item in items}


def seen(live: dict[str, Any]) -> dict[str, str]:
    """The values by which the autoscaler goes: CPU in percent, the gauge's mean."""
    values: dict[str, str] = {}
    for metric in live["status"].get("currentMetrics") or []:
        if metric["type"] == "Resource":
            values[metric["resource"]["name"]] = str(
                metric["resource"]["current"]["averageUtilization"]
            )
        elif metric["type"] == "Pods":
            values[metric["pods"]["metric"]["name"]] = metric["pods"]["current"]["averageValue"]
    return values


def rescaled_by(cluster: Cluster, metric: str) -> int:
    """How often the autoscaler has added pods, and said that it was for this metric."""
    events = cluster.kubectl.items(
        "events", "--namespace=kindling", "--field-selector=reason=SuccessfulRescale"
    )
    return sum(
        event.get("count") or 1
        for event in events
        if metric in event["message"] and "above target" in event["message"]
    )


def ready(cluster: Cluster) -> int:
    live = cluster.kubectl.get("deployment", "serving", "--namespace=kindling")
    return int(live["status"].get("readyReplicas", 0))


@pytest.fixture(autouse=True)
def at_rest(cluster: Cluster) -> Iterator[None]:
    """Each begins with one pod and leaves one to others."""
    rest(cluster)
    yield
    rest(cluster)


@contextmanager
def without_the_adapter(cluster: Cluster) -> Iterator[None]:
    cluster.kubectl.check("scale", *ADAPTER, "--replicas=0")
    try:
        eventually(
            lambda: GAUGE not in seen(autoscaler(cluster)),
            seconds=60,
            what="the autoscaler no longer has the gauge",
        )
        yield
    finally:
        cluster.kubectl.check("scale", *ADAPTER, "--replicas=1")
        cluster.kubectl.check("rollout", "status", *ADAPTER, "--timeout=90s", timeout=100)
        eventually(
            lambda: GAUGE in seen(autoscaler(cluster)),
            seconds=120,
            what="the autoscaler has the gauge again",
        )


def test_the_custom_metrics_api_has_the_gauge_of_each_serving_pod(cluster: Cluster) -> None:
    def complete() -> dict[str, str]:
        found = in_flight(cluster)
        pods = {pod.name for pod in serving_pods(cluster.kubectl)}
        return found if pods and found.keys() == pods else {}

    values = eventually(complete, seconds=60, what="each pod has its gauge")
    assert isinstance(values, dict)
    assert all(value.isdigit() for value in values.values())


def test_the_autoscaler_sees_both_signals_and_their_targets(cluster: Cluster) -> None:
    eventually(
        lambda: seen(autoscaler(cluster)).keys() == {"cpu", GAUGE},
        seconds=90,
        what="both metrics have values",
    )
    cpu, pods = autoscaler(cluster)["spec"]["metrics"]
    assert cpu["resource"]["target"]["averageUtilization"] > 0
    assert pods["pods"]["metric"]["name"] == GAUGE
    assert int(pods["pods"]["target"]["averageValue"]) > 0


def test_requests_that_wait_bring_pods_although_no_cpu_is_used(cluster: Cluster) -> None:
    target = int(autoscaler(cluster)["spec"]["metrics"][1]["pods"]["target"]["averageValue"])
    before = rescaled_by(cluster, GAUGE)
    body = (paths.REPOSITORY / "service" / "example.json").read_bytes()
    with SlowClients(cluster.url, body, clients=3 * target) as clients:
        eventually(
            lambda: rescaled_by(cluster, GAUGE) > before,
            seconds=60,
            what="the autoscaler adds pods because of the gauge",
        )
        eventually(lambda: ready(cluster) >= 2, seconds=120, what="a second pod is ready")
    assert clients.failed == []
    assert clients.answered > 0


def test_cpu_alone_still_brings_pods_while_the_custom_metrics_api_is_away(
    cluster: Cluster, holdout: dict[str, Any]
) -> None:
    body = json.dumps({"instances": holdout["request"]["instances"] * 16}).encode()
    with without_the_adapter(cluster), Load(cluster.url, body, threads=6) as load:
        eventually(lambda: ready(cluster) >= 2, seconds=140, what="a second pod is ready")
        assert GAUGE not in seen(autoscaler(cluster))
    assert load.failed == []
