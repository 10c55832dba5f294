"""Objects as the API server of a small cluster gives them."""

from __future__ import annotations

from typing import Any

LABELS = {"app.kubernetes.io/name": "serving", "app.kubernetes.io/instance": "serving"}


def node(name: str, pool: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"kindling.dev/pool": pool}}}


def deployment(wanted: int = 1, ready: int = 1) -> dict[str, Any]:
    return {
        "metadata": {"name": "serving", "labels": LABELS, "generation": 1},
        "spec": {"replicas": wanted, "selector": {"matchLabels": LABELS}},
        "status": {
            "observedGeneration": 1, "replicas": wanted, "readyReplicas": ready,
            "availableReplicas": ready, "updatedReplicas": wanted,
        },
    }  # fmt: skip


def autoscaler(desired: int = 1, percent: int | None = 40) -> dict[str, Any]:
    current = {"type": "Resource", "resource": {"name": "cpu", "current": {}}}
    if percent is not None:
        current["resource"]["current"] = {"averageUtilization": percent, "averageValue": "40m"}
    return {
        "metadata": {"name": "serving"},
        "spec": {
            "minReplicas": 1,
            "maxReplicas": 4,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70},
                    },
                },
                {
                    "type": "Pods",
                    "pods": {
                        "metric": {"name": "in_flight"},
                        "target": {"type": "AverageValue", "averageValue": "4"},
                    },
                },
            ],
        },
        "status": {
            "currentReplicas": 1,
            "desiredReplicas": desired,
            "currentMetrics": [
                current,
                {
                    "type": "Pods",
                    "pods": {
                        "metric": {"name": "in_flight"}, "current": {"averageValue": "1500m"},
                    },
                },
            ],
            "conditions": [{"type": "ScalingActive", "status": "True"}],
        },
    }  # fmt: skip


def pod(
    name: str = "serving-a", *, node: str = "n1", ready: bool = True, restarts: int = 0
) -> dict[str, Any]:
    moment = "2026-01-01T00:00:05Z"
    status: dict[str, Any] = {
        "phase": "Running" if node else "Pending",
        "conditions": [
            {"type": "Ready", "status": str(ready), "lastTransitionTime": moment},
        ],
        "containerStatuses": [{"restartCount": restarts, "state": {}}],
    }
    if not node:
        status["conditions"] = [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
             "message": "0/3 nodes are available: 3 Insufficient cpu."}
        ]  # fmt: skip
    return {
        "metadata": {
            "name": name, "uid": name, "labels": LABELS,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "nodeName": node,
            "containers": [{"name": "service", "resources": {"requests": {"cpu": "100m"}}}],
        },
        "status": status,
    }  # fmt: skip


def event(name: str, reason: str, count: int = 1) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "reason": reason,
        "message": "New size: 3",
        "count": count,
        "involvedObject": {"kind": "HorizontalPodAutoscaler", "name": "serving"},
    }
