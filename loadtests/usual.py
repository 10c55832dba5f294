"""What production has: the charts' defaults, the repository's rules, Kubernetes' own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kindling import paths, rules
from kindling.settings_files import read_mapping

# In seconds, where nothing else is set.
CONTROL_LOOP = 15.0
STABILIZATION = 300.0


def intervals() -> dict[str, float]:
    """In seconds, by the names that ``Intervals`` has."""
    prometheus, metrics = _values("prometheus"), _values("metrics-server")
    return {
        "scrape": rules.seconds(prometheus["scrape"]["interval"]),
        "evaluation": rules.seconds(prometheus["evaluationInterval"]),
        "group_wait": rules.seconds(prometheus["alertmanager"]["groupWait"]),
        "group_interval": rules.seconds(prometheus["alertmanager"]["groupInterval"]),
        "stabilization": STABILIZATION,
        "control_loop": CONTROL_LOOP,
        "metrics_resolution": float(metrics["metricResolutionSeconds"]),
    }


def waits() -> dict[str, float]:
    """How long each alert pends, in seconds."""
    return longest(
        (one["alert"], rules.seconds(str(one.get("for", "0s"))))
        for file in sorted((paths.REPOSITORY / "charts" / "prometheus" / "rules").glob("*.yml"))
        for group in read_mapping(file)["groups"]
        for one in group["rules"]
        if "alert" in one
    )


def limits() -> dict[str, str]:
    """What a pod of the service may use."""
    found: dict[str, str] = _values("serving")["resources"]["limits"]
    return found


def maximum() -> int:
    """The most pods of the service."""
    return int(_values("serving")["autoscaling"]["maxReplicas"])


def longest(waits: Iterable[tuple[str, float]]) -> dict[str, float]:
    """By alert; some have several rules."""
    found: dict[str, float] = {}
    for alert, wait in waits:
        found[alert] = max(wait, found.get(alert, 0.0))
    return found


def _values(chart: str) -> dict[str, Any]:
    return read_mapping(paths.REPOSITORY / "charts" / chart / "values.yaml")
