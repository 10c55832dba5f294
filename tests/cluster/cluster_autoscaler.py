"""The service's autoscaler: read, held, and brought to rest for others' tests."""

from __future__ import annotations

from typing import Any

from conftest import Cluster, eventually

from kindling import settings
from kindling.errors import KindlingError
from loadtests.autoscaler import hold, release, wait_at_minimum
from loadtests.environment import Environment, find
from loadtests.observers import objects


def autoscaler(cluster: Cluster) -> dict[str, Any]:
    live: dict[str, Any] = cluster.kubectl.get("hpa", "serving", "--namespace=kindling")
    return live


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


def hold_at_minimum() -> Environment:
    """Have the autoscaler add no pods until ``rest``."""
    environment = _environment()
    hold(environment, environment.minimum)
    return environment


def rest(cluster: Cluster) -> None:
    """Bring it to its minimum of pods, without the minute of scaling in."""

    def calm() -> bool:
        _, state = objects.autoscaler(autoscaler(cluster))
        (cpu,) = (one for one in state["metrics"] if one["name"] == "cpu")
        return cpu["value"] is not None and cpu["value"] < cpu["target"]

    environment = hold_at_minimum()
    # Else it adds pods again for what was measured before.
    eventually(calm, seconds=120, what="no load is measured any more")
    release(environment)
    wait_at_minimum(environment)
