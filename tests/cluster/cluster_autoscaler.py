"""The service's autoscaler: what it sees, and brought to rest before others' tests."""

from __future__ import annotations

from typing import Any

from conftest import Cluster, eventually

from kindling import settings
from kindling.errors import KindlingError
from loadtests.autoscaler import hold, release, wait_at_minimum
from loadtests.environment import Environment, find


def autoscaler(cluster: Cluster) -> dict[str, Any]:
    live: dict[str, Any] = cluster.kubectl.get("hpa", "serving", "--namespace=kindling")
    return live


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


def _environment() -> Environment:
    def look() -> Environment | None:
        try:
            return find(settings.load("local"))
        except KindlingError:
            # A pod that is about to end says that it is not ready.
            return None

    found = eventually(look, seconds=30, what="the service is ready")
    assert isinstance(found, Environment)
    return found


def hold_at_minimum() -> None:
    """Have the autoscaler add no pods until ``rest``."""
    environment = _environment()
    hold(environment, environment.minimum)


def rest(cluster: Cluster) -> None:
    """Bring it to its minimum of pods, without the minute of scaling in."""
    environment = _environment()

    def calm() -> bool:
        live = autoscaler(cluster)
        target = live["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"]
        return int(seen(live).get("cpu", target)) < target

    hold(environment, environment.minimum)
    # Else it adds pods again for what was measured before.
    eventually(calm, seconds=120, what="no load is measured any more")
    release(environment)
    wait_at_minimum(environment)
