"""Kubernetes objects, reduced to what ``status`` shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kindling.doctor.machine import Done, free_bytes, gather
from kindling.quantities import quantity

Objects = Sequence[Mapping[str, Any]]

_OURS = ("app.kubernetes.io/part-of", "kindling")
_COUNT_SECONDS = 1.0


def nodes(
    items: Objects, containers: Mapping[str, str], facts: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Every node that Kubernetes or the engine knows; ``facts`` are those of cluster.json."""
    known = {item["metadata"]["name"]: item for item in items if item["kind"] == "Node"}
    return [
        _node(name, known.get(name, {}), containers.get(name, "missing"), facts)
        for name in sorted({*known, *containers})
    ]


def workloads(items: Objects) -> list[dict[str, Any]]:
    """Deployments, StatefulSets and DaemonSets of ours."""
    return [
        _workload(item)
        for item in items
        if item["kind"] in ("Deployment", "StatefulSet", "DaemonSet") and _is_ours(item)
    ]


def autoscalers(items: Objects) -> list[dict[str, Any]]:
    """HorizontalPodAutoscalers of ours; CPU is in percent of what pods request."""
    return [
        _autoscaler(item)
        for item in items
        if item["kind"] == "HorizontalPodAutoscaler" and _is_ours(item)
    ]


def problems(found: Mapping[str, Any]) -> list[str]:
    """Sentences about whatever in a status document is not well."""
    said = [f"node {node['name']} is not ready" for node in found["nodes"] if not node["ready"]]
    said += [
        f"node {node['name']} offers {node['gpus']} of {node['gpus_wanted']} GPUs"
        for node in found["nodes"]
        if node["gpus"] < node["gpus_wanted"]
    ]
    said += [
        f"{one['namespace']}/{one['name']} has {one['ready']} of {one['wanted']} pods ready"
        for one in found["workloads"]
        if one["ready"] < one["wanted"]
    ]
    if not found["workloads"]:
        said.append("nothing of Kindling's is installed")
    said += [f"{url['service']} is not ready at {url['url']}" for url in found["urls"]
             if url["ready"] is False]  # fmt: skip
    return said


def cache_size(folder: Path, run: Callable[..., Done]) -> dict[str, Any]:
    """Bytes below ``folder``: what can be counted in a second, and what is free."""
    parts = sorted(folder.iterdir()) if folder.is_dir() else []
    asked = {
        str(part): partial(run, ["du", "-s", "--block-size=1", str(part)], seconds=_COUNT_SECONDS)
        for part in parts
    }
    done = [r for r in gather(asked, _COUNT_SECONDS + 0.1).values() if isinstance(r, Done)]
    sizes = [int(one.out.split()[0]) for one in done if one.code == 0]
    return {
        "path": str(folder),
        "bytes": sum(sizes),
        "counted": len(sizes) == len(parts),
        "free_bytes": free_bytes(folder)[1],
    }


def _node(
    name: str, item: Mapping[str, Any], container: str, facts: Mapping[str, Any]
) -> dict[str, Any]:
    status = item.get("status", {})
    conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
    gpus = int(status.get("allocatable", {}).get("nvidia.com/gpu", 0))
    pool = item.get("metadata", {}).get("labels", {}).get("kindling.dev/pool", "")
    promised = {one["name"]: one.get("gpus", 0) for one in facts.get("node_pools", [])}
    return {
        "name": name,
        "pool": pool,
        "container": container,
        "ready": conditions.get("Ready") == "True",
        "version": status.get("nodeInfo", {}).get("kubeletVersion", ""),
        "gpus": gpus,
        "gpus_simulated": bool(gpus and facts["gpu_mode"] == "simulated"),
        "gpus_wanted": 0 if facts["gpu_mode"] == "none" else promised.get(pool, 0),
    }


def _workload(item: Mapping[str, Any]) -> dict[str, Any]:
    status = item.get("status", {})
    if item["kind"] == "DaemonSet":
        wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
        updated = status.get("updatedNumberScheduled", ready)
    else:
        wanted, ready = item["spec"].get("replicas", 1), status.get("readyReplicas", 0)
        updated = status.get("updatedReplicas", 0)
    # During a rollout old pods are ready too, but are not what is wanted.
    return {**_named(item), "kind": item["kind"], "ready": min(ready, updated), "wanted": wanted}


def _autoscaler(item: Mapping[str, Any]) -> dict[str, Any]:
    spec, status = item["spec"], item.get("status", {})
    return {
        **_named(item),
        "current": status.get("currentReplicas", 0),
        "desired": status.get("desiredReplicas", 0),
        "min": spec.get("minReplicas", 1),
        "max": spec["maxReplicas"],
        "cpu": _cpu(status.get("currentMetrics") or [], "current"),
        "cpu_target": _cpu(spec.get("metrics") or [], "target"),
        "pods_metrics": _pods_metrics(spec.get("metrics") or [], status),
    }


def _cpu(metrics: Objects, key: str) -> int | None:
    for metric in metrics:
        resource = metric.get("resource") or {}
        if resource.get("name") == "cpu":
            percent: int | None = resource[key].get("averageUtilization")
            return percent
    return None


def _pods_metrics(wanted: Objects, status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of each metric of the pods: the mean over all of them, and its target."""
    means = {
        one["pods"]["metric"]["name"]: one["pods"]["current"].get("averageValue")
        for one in status.get("currentMetrics") or []
        if one.get("pods")
    }
    found = []
    for one in wanted:
        if about := one.get("pods"):
            name = about["metric"]["name"]
            mean, target = means.get(name), about["target"]["averageValue"]
            value = None if mean is None else quantity(mean)
            found.append({"name": name, "value": value, "target": quantity(target)})
    return found


def _named(item: Mapping[str, Any]) -> dict[str, str]:
    about = item["metadata"]
    return {"namespace": about["namespace"], "name": about["name"]}


def _is_ours(item: Mapping[str, Any]) -> bool:
    return (item["metadata"].get("labels") or {}).get(_OURS[0]) == _OURS[1]
