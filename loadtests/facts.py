"""What was tested, in words for the report, and what of it is less than in production."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kindling.quantities import quantity
from loadtests import usual
from loadtests.intervals import Described
from loadtests.observers.objects import target

Scalar = str | int | float | bool | None
_WORDS = {
    "scrape": "scrape interval",
    "evaluation": "evaluation of rules",
    "group_wait": "wait before a first notification",
    "group_interval": "wait before a further notification",
    "stabilization": "scale-in stabilization",
    "control_loop": "autoscaler's period",
    "metrics_resolution": "metrics-server's period",
}


def facts(described: Described) -> dict[str, Scalar | Mapping[str, Scalar]]:
    """Names and values in groups, as ``report`` takes them."""
    about = described.about
    scaler, resources = about["autoscaler"], about["resources"]
    pods = {
        f"{resource} {kind}": f"{amount}"
        for kind, amounts in (
            ("request", resources.get("requests", {})), ("limit", resources.get("limits", {})),
        )
        for resource, amount in amounts.items()
    }  # fmt: skip
    targets = dict(target(metric) for metric in scaler["metrics"])
    return {
        "cluster": f"{about['cluster']}, Kubernetes {about['kubernetes']}",
        "target": about["url"],
        "machine cores": about["cores"],
        "GPUs": about["gpu_mode"],
        "nodes": {one["name"]: _node(one) for one in about["nodes"]},
        "versions": {
            "service": about["service_image"], "node": about["node_image"],
            "Prometheus": about["prometheus"], "supply": about["supply"],
        },
        "pod of the service": pods,
        "autoscaler": {
            "pods": f"{scaler['minimum']} to {scaler['maximum']}",
            **{f"target of {name}": amount for name, amount in targets.items()},
        },
        "intervals": {
            _WORDS[name]: "not shown by the cluster" if here is None else _seconds(here)
            for name, here in asdict(described.intervals).items()
        },
        "shortened": shortened(described),
    }  # fmt: skip


def shortened(described: Described) -> dict[str, Scalar]:
    """By name: what is quicker or less here, and what it is in production."""
    return {
        what: f"{_shown(here)}, in production {_shown(more)}"
        for what, here, more in _less(described)
    }


def _less(described: Described) -> Iterator[tuple[str, float | str, float | str]]:
    production = usual.intervals()
    for name, here in asdict(described.intervals).items():
        if here is not None and here < production[name]:
            yield _WORDS[name], here, production[name]
    for alert, wait in usual.waits().items():
        if described.waits.get(alert, wait) < wait:
            yield f"{alert} pends", described.waits[alert], wait
    limits = described.about["resources"].get("limits", {})
    for resource, most in usual.limits().items():
        if resource in limits and quantity(limits[resource]) < quantity(most):
            yield f"{resource} limit of a pod", str(limits[resource]), str(most)
    pods = described.about["autoscaler"]["maximum"]
    if pods < usual.maximum():
        yield "most pods", str(pods), str(usual.maximum())


def _node(node: Mapping[str, Any]) -> str:
    gibibytes = quantity(node["memory"]) / 2**30
    words: Sequence[str] = (
        f"pool {node['pool'] or '-'}", f"{node['cpu']} cores", f"{gibibytes:.0f} GiB",
        *([f"{node['gpus']} GPUs"] if node["gpus"] != "0" else []),
    )  # fmt: skip
    return ", ".join(words)


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else _seconds(value)


def _seconds(value: float) -> str:
    return f"{value:g} s"
