"""``status`` for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from kindling.table import table

_STYLES = {"running": "green", "degraded": "yellow", "absent": "dim", "unknown": "yellow"}
_READY = {True: "ready", False: "not ready", None: "no answer yet"}


def render(found: Mapping[str, Any]) -> RenderableType:
    """The document of ``kindling.status`` as tables and lines."""
    return Group(*_parts(found))


def _parts(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    state = found["state"]
    yield Text.assemble(f"cluster {found['cluster']}: ", (state, _STYLES.get(state, "red")))
    for problem in found["problems"]:
        yield Text(f"  ! {problem}", "yellow")
    if found["nodes"]:
        yield Text()
        yield table(("node", "pool", "state", "version", "GPUs"), map(_node, found["nodes"]))
    if found["workloads"]:
        yield Text()
        yield table(("workload", "kind", "ready"), map(_workload, found["workloads"]))
    if found["autoscalers"]:
        yield Text()
        rows = map(_autoscaler, found["autoscalers"])
        yield table(("autoscaler", "pods", "wanted", "of", "CPU", "per pod"), rows)
    if found["urls"]:
        yield Text()
        yield table(("service", "URL", "state", "models"), map(_url, found["urls"]))
    yield Text()
    yield table(("", ""), _about(found))
    yield Text(f"\nnext: {found['next']}")


def _node(node: Mapping[str, Any]) -> tuple[str, ...]:
    state = _READY[node["ready"]]
    if node["container"] != "running":
        state = f"container {node['container']}"
    gpus = f"{node['gpus']} simulated" if node["gpus_simulated"] else str(node["gpus"] or "-")
    return node["name"], node["pool"] or "-", state, node["version"] or "-", gpus


def _workload(one: Mapping[str, Any]) -> tuple[str, ...]:
    return f"{one['namespace']}/{one['name']}", one["kind"], f"{one['ready']}/{one['wanted']}"


def _autoscaler(one: Mapping[str, Any]) -> tuple[str, ...]:
    cpu = "not measured yet" if one["cpu"] is None else f"{one['cpu']} %"
    target = "" if one["cpu_target"] is None else f" (target {one['cpu_target']} %)"
    name = f"{one['namespace']}/{one['name']}"
    bounds = f"{one['min']} to {one['max']}"
    others = ", ".join(map(_pods_metric, one["pods_metrics"])) or "-"
    return name, str(one["current"]), str(one["desired"]), bounds, cpu + target, others


def _pods_metric(one: Mapping[str, Any]) -> str:
    value = "not measured yet" if one["value"] is None else f"{one['value']:.3g}"
    return f"{one['name']} {value} (target {one['target']:g})"


def _url(url: Mapping[str, Any]) -> tuple[str, ...]:
    served = ", ".join(f"{one['name']} {one['version'] or '(none)'}" for one in url["models"])
    return url["service"], url["url"], _READY[url["ready"]], served or "-"


def _about(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if network := found["pod_network"]:
        enforced = network["enforces_network_policy"]
        words = "enforced" if enforced else f"not enforced by {network['name']}"
        yield "pod network", f"{network['name']}; NetworkPolicies: {words}"
    if engine := found["engine"]:
        yield "engine", f"{engine['host']}, {'started by Kindling' if engine['owned'] else 'yours'}"
    for key, name in (("supply", "supply"), ("node_image", "node image"),
                      ("kubeconfig", "kubeconfig")):  # fmt: skip
        if found[key]:
            yield name, found[key]
    if cache := found.get("cache"):
        more = "" if cache["counted"] else "more than "
        used, free = (cache[key] / 1024**3 for key in ("bytes", "free_bytes"))
        yield "cache", f"{cache['path']}: {more}{used:.1f} GiB, {free:.0f} GiB free"
