"""By which intervals the cluster under test sees, decides and tells, and what its parts may use."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from kindling import rules
from kindling.errors import KindlingError
from kindling.prometheus import Prometheus
from loadtests.environment import Environment
from loadtests.judge.alerts import Rule
from loadtests.observers.link import Address, Link
from loadtests.usual import CONTROL_LOOP, STABILIZATION, longest

_SYNC = "--horizontal-pod-autoscaler-sync-period="
_RESOLUTION = "--metric-resolution="
_POOL = "kindling.dev/pool"
# The kubelet looks at least so often at what a container has used.
_KUBELET_SECONDS = 15.0


@dataclass(frozen=True)
class Intervals:
    """In seconds. None: the cluster does not show it."""

    scrape: float
    evaluation: float
    group_wait: float
    group_interval: float
    # How long the autoscaler remembers that it wanted more pods.
    stabilization: float
    control_loop: float | None
    metrics_resolution: float | None

    @property
    def oldest_metric(self) -> float:
        """How old the oldest thing may be that the autoscaler sees, in seconds.

        Of CPU use metrics-server tells the mean between its last two looks, each at what the
        kubelet saw last, until it looks again.
        """
        return max(self.scrape, 2 * (self.metrics_resolution or 0.0) + _KUBELET_SECONDS)


@dataclass(frozen=True)
class Described:
    """The cluster under test, for judging and for the report."""

    intervals: Intervals
    # By alert, how long it pends; of several rules of one name, the longest.
    waits: Mapping[str, float]
    about: Mapping[str, Any]

    def rule(self, alert: str, **labels: str) -> Rule:
        """What bounds the alert with these labels. Raises KindlingError for an unknown one."""
        if alert not in self.waits:
            raise KindlingError(
                f"Prometheus has no alert {alert}", next_step="ls charts/prometheus/rules"
            )
        one = self.intervals
        return Rule(
            alert, self.waits[alert], one.evaluation, one.scrape, one.group_wait,
            one.group_interval, labels=labels,
        )  # fmt: skip


def describe(environment: Environment) -> Described:
    """Ask the cluster. Raises KindlingError where a part of it does not answer."""
    kubectl, space = environment.kubectl, f"--namespace={environment.namespace}"
    prometheus = Prometheus(environment.prometheus_url, seconds=5)
    config = yaml.safe_load(prometheus.get("status/config")["yaml"])["global"]
    groups = prometheus.get("rules", type="alert")["groups"]
    route = _alertmanager(environment.alertmanager_url)["route"]
    hpa = kubectl.get("horizontalpodautoscalers.v2.autoscaling", environment.hpa, space)["spec"]
    deployment = kubectl.get("deployments.apps", environment.deployment, space)["spec"]
    system = kubectl.items(
        "pods", "--all-namespaces", "--selector=component=kube-controller-manager"
    )
    servers = kubectl.items(
        "deployments.apps", "--all-namespaces", "--selector=app.kubernetes.io/name=metrics-server"
    )
    down = hpa.get("behavior", {}).get("scaleDown", {})
    intervals = Intervals(
        scrape=rules.seconds(config["scrape_interval"]),
        evaluation=rules.seconds(config["evaluation_interval"]),
        group_wait=rules.seconds(str(route.get("group_wait", "30s"))),
        group_interval=rules.seconds(str(route.get("group_interval", "5m"))),
        stabilization=float(down.get("stabilizationWindowSeconds", STABILIZATION)),
        control_loop=_flag(system, _SYNC, CONTROL_LOOP),
        metrics_resolution=_flag([one["spec"]["template"] for one in servers], _RESOLUTION, 60.0),
    )
    waits = longest(
        (one["name"], float(one["duration"])) for group in groups for one in group["rules"]
    )
    (container, *_) = deployment["template"]["spec"]["containers"]
    facts = environment.facts
    about = {
        "prometheus": prometheus.get("status/buildinfo")["version"],
        "cluster": environment.name, "url": environment.url,
        "kubernetes": facts.get("kubernetes_version"), "supply": facts.get("supply"),
        "node_image": facts.get("node_image"), "gpu_mode": facts.get("gpu_mode"),
        "cores": len(os.sched_getaffinity(0)), "nodes": _nodes(kubectl.items("nodes")),
        "service_image": container["image"], "resources": container.get("resources", {}),
        "autoscaler": {
            "minimum": hpa.get("minReplicas", 1), "maximum": hpa["maxReplicas"],
            "metrics": hpa.get("metrics", []), "behavior": hpa.get("behavior", {}),
        },
    }  # fmt: skip
    return Described(intervals, waits, about)


def _flag(pods: Sequence[Mapping[str, Any]], flag: str, default: float) -> float | None:
    """The duration that a flag of these pods has; None where there is no pod to look at."""
    for pod in pods:
        for container in pod["spec"]["containers"]:
            for word in [*container.get("command", []), *container.get("args", [])]:
                if word.startswith(flag):
                    return rules.seconds(word.removeprefix(flag))
    return default if pods else None


def _alertmanager(url: str) -> dict[str, Any]:
    link = Link(Address(url), 5)
    try:
        found: dict[str, Any] = yaml.safe_load(link.get("/api/v2/status")["config"]["original"])
    except (OSError, ValueError, KeyError) as error:
        raise KindlingError(
            f"Alertmanager does not answer at {url}: {error}", next_step="nox -s status"
        ) from error
    finally:
        link.close()
    return found


def _nodes(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": one["metadata"]["name"],
            "pool": one["metadata"]["labels"].get(_POOL, ""),
            "version": one["status"]["nodeInfo"]["kubeletVersion"],
            "cpu": one["status"]["allocatable"]["cpu"],
            "memory": one["status"]["allocatable"]["memory"],
            "gpus": one["status"]["allocatable"].get("nvidia.com/gpu", "0"),
        }
        for one in items
    ]
