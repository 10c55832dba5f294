"""The autoscaler of the service under test: held for a while, waited for, at rest."""

from __future__ import annotations

import json
import time

from kindling.errors import KindlingError
from loadtests.environment import BOUNDS, Environment, NoAutoscalerError


def hold(environment: Environment, pods: int) -> None:
    """Have ``pods`` at once, and the autoscaler leave it at that until ``release``.

    What its bounds were is noted on it, so that ``wait_at_minimum`` mends what a killed run left.
    """
    _patch(environment, pods, pods, f"{environment.minimum} {environment.maximum}")
    environment.kubectl.check(
        "scale", f"deployment/{environment.deployment}", f"--namespace={environment.namespace}",
        f"--replicas={pods}",
    )  # fmt: skip


def release(environment: Environment) -> None:
    """Give the autoscaler its bounds back."""
    _patch(environment, environment.minimum, environment.maximum, None)


def _patch(environment: Environment, minimum: int, maximum: int, before: str | None) -> None:
    patch = {
        "metadata": {"annotations": {BOUNDS: before}},
        "spec": {"minReplicas": minimum, "maxReplicas": maximum},
    }
    environment.kubectl.check(
        "patch", "horizontalpodautoscalers", environment.hpa, "--type=merge",
        f"--namespace={environment.namespace}", f"--patch={json.dumps(patch)}",
    )  # fmt: skip


def wait_at_minimum(environment: Environment, seconds: float = 180) -> None:
    """Wait until the autoscaler is at its minimum, its pods are ready, and the others are gone.

    Raises KindlingError at the bound with what there is instead.
    """
    kubectl, space = environment.kubectl, f"--namespace={environment.namespace}"
    hpa = kubectl.get("horizontalpodautoscalers", environment.hpa, space)
    held = BOUNDS in hpa["metadata"].get("annotations", {})
    if held:
        hold(environment, environment.minimum)
    selector = f"--selector=app.kubernetes.io/name={environment.deployment}"
    deadline = time.monotonic() + seconds
    while True:
        pods = kubectl.items("pods", space, selector)
        live = kubectl.get("deployments.apps", environment.deployment, space)
        ready = live.get("status", {}).get("readyReplicas", 0)
        wanted = live["spec"]["replicas"]
        if len(pods) == ready == wanted == environment.minimum:
            if held:
                release(environment)
            return
        if time.monotonic() > deadline:
            raise KindlingError(
                f"not at {environment.minimum} pods after {seconds:g} s: {len(pods)} are there, "
                f"{ready} ready, {wanted} wanted",
                next_step="nox -s status: who else puts load on the service?",
            )
        time.sleep(1)


def wait_until_measured(environment: Environment, seconds: float = 90) -> None:
    """Wait until the autoscaler has metrics to go by: of a pod that just started it has none.

    Raises NoAutoscalerError at the bound with what it says instead.
    """
    deadline = time.monotonic() + seconds
    while True:
        hpa = environment.kubectl.get(
            "horizontalpodautoscalers", environment.hpa, f"--namespace={environment.namespace}"
        )
        conditions = {one["type"]: one for one in hpa.get("status", {}).get("conditions", [])}
        active = conditions.get("ScalingActive", {})
        if active.get("status") == "True":
            return
        if time.monotonic() > deadline:
            said = active.get("message", "no word")
            raise NoAutoscalerError(
                f"the autoscaler {environment.namespace}/{environment.hpa} does not scale after "
                f"{seconds:g} s: {said}",
                next_step="nox -s status, then nox -s cluster-up",
            )
        time.sleep(1)
