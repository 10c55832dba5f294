"""Scaling by requests in flight and by CPU: what the autoscaler sees, and each signal alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cluster_autoscaler import autoscaler, rest
from cluster_load import Load
from conftest import Cluster, eventually
from loading import LoadTest

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


def ready(cluster: Cluster) -> int:
    live = cluster.kubectl.get("deployment", "serving", "--namespace=kindling")
    return int(live["status"].get("readyReplicas", 0))


@contextmanager
def without_the_adapter(cluster: Cluster) -> Iterator[None]:
    """While it lasts the custom metrics API is away; afterwards the autoscaler is at rest."""
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
        rest(cluster)
        eventually(
            lambda: GAUGE in seen(autoscaler(cluster)),
            seconds=120,
            what="the autoscaler has the gauge again",
        )


def test_the_custom_metrics_api_has_the_gauge_of_each_serving_pod(cluster: Cluster) -> None:
    def complete() -> dict[str, str]:
        found = in_flight(cluster)
        pods = {pod.name for pod in serving_pods(cluster.kubectl, "kindling")}
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


def test_requests_that_wait_bring_more_pods_than_their_cpu_would(load_test: LoadTest) -> None:
    timeline, begin = load_test.timeline, load_test.stage("step").begin
    (scaling, *_) = (
        one.fields
        for one in timeline.of("hpa", since=begin)
        if one.fields["desired"] > one.fields["current"]
    )
    seen = {one["name"]: one["value"] / one["target"] for one in scaling["metrics"]}
    assert seen[GAUGE] > 1
    assert math.ceil(scaling["current"] * seen["cpu"]) < scaling["desired"]
    (rescaled, *_) = timeline.of("event", "SuccessfulRescale", since=begin)
    assert GAUGE in rescaled.fields["message"]
    assert "above target" in rescaled.fields["message"]


def test_cpu_alone_still_brings_pods_while_the_custom_metrics_api_is_away(
    cluster: Cluster, holdout: dict[str, Any]
) -> None:
    rest(cluster)
    body = json.dumps({"instances": holdout["request"]["instances"] * 16}).encode()
    with without_the_adapter(cluster), Load(cluster.url, body, threads=6) as load:
        eventually(lambda: ready(cluster) >= 2, seconds=140, what="a second pod is ready")
        assert GAUGE not in seen(autoscaler(cluster))
    assert load.failed == []
