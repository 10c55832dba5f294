"""What is under test: the cluster of the inventory, complete, or another target named twice."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kindling import alerts, cluster, cluster_setup, status
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl
from kindling.settings import Settings

DEPLOYMENT = "serving"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NEEDED = ("serving", "mlflow", "prometheus", "alertmanager")
_HEALTH = {"serving": "/ready", "mlflow": "/health"}
# On an autoscaler that is held for a while: its minimum and maximum before.
BOUNDS = "kindling.dev/bounds-before"
_KINDS = "deployments.apps,horizontalpodautoscalers.autoscaling"


class NoAutoscalerError(KindlingError):
    """All is there but what would scale it."""


@dataclass(frozen=True)
class Environment:
    """The cluster under test, and where its parts answer."""

    name: str
    kubectl: Kubectl
    namespace: str
    deployment: str
    hpa: str
    minimum: int
    maximum: int
    urls: Mapping[str, str]
    # Whether the receiver in the cluster keeps notifications.
    receiver: bool
    facts: Mapping[str, Any]

    @property
    def url(self) -> str:
        """Where the model service answers."""
        return self.urls["serving"]

    @property
    def prometheus_url(self) -> str:
        return self.urls["prometheus"]

    @property
    def pools(self) -> list[str]:
        """The node pools that pods of the service may be on: workers, where there are any."""
        every = self.facts["node_pools"]
        workers = [one["name"] for one in every if one["role"] == "worker"]
        return workers or [one["name"] for one in every]

    @property
    def gpu_pools(self) -> list[str]:
        """Those of nodes with GPUs, real or simulated."""
        return [one["name"] for one in self.facts["node_pools"] if one.get("gpus")]

    @property
    def alertmanager_url(self) -> str:
        return self.urls["alertmanager"]


@dataclass(frozen=True)
class Probes:
    """All that is asked, so that a test can answer instead."""

    known: Callable[[str], Mapping[str, Any]] = cluster.known
    objects: Callable[[Kubectl, str], Sequence[Mapping[str, Any]]] = lambda kubectl, namespace: (
        _objects(kubectl, namespace)
    )
    ready: Callable[[str], Mapping[str, Any]] = status.ask_ready
    receiver: Callable[[Kubectl], Any] = alerts.ask_receiver


def find(variables: Settings, probes: Probes | None = None) -> Environment:
    """The cluster of the inventory.

    Raises KindlingError naming all that it lacks, NoAutoscalerError if that is its autoscaler.
    """
    probes, name = probes or Probes(), variables.cluster_name
    known = probes.known(name)
    if not known.get("complete", True):
        raise KindlingError(
            f"cluster-up of {name} was interrupted, or still runs", next_step="nox -s cluster-up"
        )
    urls = {one: f"http://127.0.0.1:{port}" for one, port in known["ports"].items()}
    kubectl, namespace = cluster_setup.kubectl(known), str(variables["serving_namespace"])
    objects = {
        (one["kind"], one["metadata"]["name"]): one for one in probes.objects(kubectl, namespace)
    }
    lacks = _lacks_pods(objects, namespace)
    for service in _NEEDED:
        if service not in urls:
            lacks.append(f"it has no {service}")
        elif not _is_ready(probes, urls[service] + _HEALTH.get(service, "/-/ready")):
            lacks.append(f"{service} is not ready at {urls[service]}")
    if lacks:
        raise KindlingError(
            f"the cluster {name} is not all there: {'; '.join(lacks)}",
            next_step="nox -s status, then nox -s cluster-up",
        )
    if (hpa := objects.get(("HorizontalPodAutoscaler", DEPLOYMENT))) is None:
        raise NoAutoscalerError(
            f"there is no HorizontalPodAutoscaler {namespace}/{DEPLOYMENT}",
            next_step="nox -s status, then nox -s cluster-up",
        )
    receives = probes.receiver(kubectl) is not None
    minimum, maximum = bounds(hpa)
    return Environment(
        name, kubectl, namespace, DEPLOYMENT, DEPLOYMENT, minimum, maximum, urls, receives, known
    )


def foreign(target: str, own: str, *, named: str = "") -> bool:
    """Whether ``target`` is not the service at ``own``, the cluster's; empty means that one.

    Raises KindlingError for a foreign one unless ``named`` says its host too: load goes where
    somebody meant it to, not where a variable happened to point.
    """
    if named and not target:
        raise KindlingError("--yes-target goes with --target", next_step="--target URL")
    if not target:
        return False
    place, host = _place(target)
    if own and place == _place(own)[0]:
        return False
    if named != host:
        instead = f", and {named} is another host" if named else ""
        raise KindlingError(
            f"{target} is not the cluster of the inventory{instead}",
            next_step=f"--yes-target {host}, if load may be put on it",
        )
    return True


def bounds(hpa: Mapping[str, Any]) -> tuple[int, int]:
    """Its minimum and maximum, those before where it is held for a while."""
    if before := hpa["metadata"].get("annotations", {}).get(BOUNDS):
        minimum, maximum = map(int, before.split())
        return minimum, maximum
    return hpa["spec"].get("minReplicas", 1), hpa["spec"]["maxReplicas"]


def _lacks_pods(objects: Mapping[tuple[str, str], Any], namespace: str) -> list[str]:
    what, lacks = f"{namespace}/{DEPLOYMENT}", []
    deployment = objects.get(("Deployment", DEPLOYMENT))
    hpa = objects.get(("HorizontalPodAutoscaler", DEPLOYMENT))
    if deployment is None:
        lacks.append(f"there is no Deployment {what}")
    else:
        # More may be on their way, which `wait_at_minimum` waits for.
        least = bounds(hpa)[0] if hpa else 1
        ready = deployment.get("status", {}).get("readyReplicas", 0)
        if ready < least:
            lacks.append(f"{what} has {ready} of {least} pods ready")
    return lacks


def _is_ready(probes: Probes, url: str) -> bool:
    try:
        response = probes.ready(url)
    except TimeoutError:
        return False
    return bool(response) and response.get("status", "ready") == "ready"


def _place(url: str) -> tuple[tuple[str, str, int | None], str]:
    """Scheme, host and port, by which two URLs are the same service; and the host as written."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        port, parts = None, urllib.parse.urlsplit("")
    if not parts.hostname or port is None:
        raise KindlingError(f"{url} is no URL of a service", next_step="--target http://HOST:PORT")
    host = "loopback" if parts.hostname in _LOOPBACK else parts.hostname
    return (parts.scheme, host, port), parts.hostname


def _objects(kubectl: Kubectl, namespace: str) -> Sequence[Mapping[str, Any]]:
    done = kubectl.run(
        "get", _KINDS, f"--namespace={namespace}", "--output=json", "--request-timeout=5s",
        timeout=10,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        raise KindlingError(
            f"the API server of the cluster does not answer: {said}", next_step="nox -s status"
        )
    found: list[Mapping[str, Any]] = json.loads(done.stdout)["items"]
    return found
