"""Objects of the API server, reduced to the fields of a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from kindling.quantities import quantity
from kindling.workloads import pod_trouble

GPU = "nvidia.com/gpu"
Reduced = tuple[str, dict[str, Any]]


def unix(moment: str) -> float:
    """Unix seconds of a time as in RFC 3339."""
    return datetime.fromisoformat(moment).timestamp()


def deployment(item: Mapping[str, Any]) -> Reduced:
    """How many pods a Deployment has."""
    status = item.get("status", {})
    return item["metadata"]["name"], {
        "wanted": item["spec"].get("replicas", 1),
        "ready": status.get("readyReplicas", 0),
        "available": status.get("availableReplicas", 0),
        "updated": status.get("updatedReplicas", 0),
    }


def autoscaler(item: Mapping[str, Any]) -> Reduced:
    """What an autoscaler sees and wants."""
    spec, status = item["spec"], item.get("status", {})
    seen = {_metric(one): one for one in status.get("currentMetrics") or [] if one.get("type")}
    metrics = []
    for one in spec.get("metrics") or []:
        value = _amount(seen.get(_metric(one), {}), "current")
        metrics.append({"name": _metric(one), "value": value, "target": _amount(one, "target")})
    return item["metadata"]["name"], {
        "current": status.get("currentReplicas", 0),
        "desired": status.get("desiredReplicas", 0),
        "minimum": spec.get("minReplicas", 1),
        "maximum": spec["maxReplicas"],
        "metrics": metrics,
        "conditions": {one["type"]: one["status"] for one in status.get("conditions") or []},
    }


def pod(item: Mapping[str, Any], pool: str) -> Reduced:
    """Where a pod is on its way; ``pool`` is that of its node."""
    about, spec, status = item["metadata"], item["spec"], item.get("status", {})
    conditions = {one["type"]: one for one in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    is_ready = ready.get("status") == "True"
    containers = status.get("containerStatuses", [])
    return about["name"], {
        "phase": status.get("phase", "Unknown"),
        "ready": is_ready,
        "ready_at": unix(ready["lastTransitionTime"]) if is_ready else None,
        "created": unix(about["creationTimestamp"]),
        "node": spec.get("nodeName", ""),
        "pool": pool,
        "restarts": sum(one["restartCount"] for one in containers),
        "deleting": "deletionTimestamp" in about,
        "gone": False,
        "reason": pod_trouble(item) or _ended(containers),
        "requests": {
            resource: sum(
                quantity(one.get("resources", {}).get("requests", {}).get(resource, 0))
                for one in spec["containers"]
            )
            for resource in ("cpu", GPU)
        },
    }


def event(item: Mapping[str, Any]) -> Reduced:
    """What Kubernetes says has happened to an object."""
    about, series = item["involvedObject"], item.get("series") or {}
    return item.get("reason", ""), {
        "kind": about.get("kind", ""),
        "object": about.get("name", ""),
        "message": item.get("message", ""),
        "count": series.get("count") or item.get("count") or 1,
    }


def target(metric: Mapping[str, Any]) -> tuple[str, float | None]:
    """Name and aim of an entry of an autoscaler's ``metrics``."""
    return _metric(metric), _amount(metric, "target")


def _ended(containers: Sequence[Mapping[str, Any]]) -> str:
    for one in containers:
        if last := one.get("lastState", {}).get("terminated"):
            return f"restarted after {last.get('reason')} (exit code {last.get('exitCode')})"
    return ""


def _metric(metric: Mapping[str, Any]) -> str:
    """The name of an entry of ``metrics`` or ``currentMetrics``."""
    about = _about(metric)
    return str(about.get("name") or about.get("metric", {}).get("name", ""))


def _amount(metric: Mapping[str, Any], key: str) -> float | None:
    """A percentage of what is requested, or the mean of the pods, or the value as it is."""
    amounts = _about(metric).get(key) or {}
    for form in ("averageUtilization", "averageValue", "value"):
        if amounts.get(form) is not None:
            return quantity(amounts[form])
    return None


def _about(metric: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = str(metric.get("type", ""))
    found: Mapping[str, Any] = metric.get(kind[:1].lower() + kind[1:]) or {}
    return found
