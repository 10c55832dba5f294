"""The pods of the model service: what Kubernetes says of each, and what each says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kindling.kubectl import Kubectl

_SELECTOR = (
    "app.kubernetes.io/name=serving,app.kubernetes.io/instance=serving,"
    "app.kubernetes.io/part-of=kindling"
)


@dataclass(frozen=True, eq=False)
class ServingPod:
    """A pod and its response to ``/ready``: empty where it gave none."""

    namespace: str
    name: str
    answer: Mapping[str, Any]
    # Why Kubernetes sends it no requests; empty for a ready pod.
    not_ready: str = ""
    # Such a pod, as an evicted one, never runs again.
    is_finished: bool = False

    def model(self, name: str) -> Mapping[str, Any]:
        """What it says of the model ``name``; empty where it does not serve it."""
        found = [one for one in self.answer.get("models", []) if one["name"] == name]
        return found[0] if found else {}

    def __str__(self) -> str:
        """The name, with the reason where it is not ready."""
        return f"{self.name} ({self.not_ready})" if self.not_ready else self.name


def serving_pods(kubectl: Kubectl, namespace: str) -> list[ServingPod]:
    """The pods of the service's release that are not going away, asked through the API server."""
    items = kubectl.items("pods", f"--namespace={namespace}", f"--selector={_SELECTOR}")
    staying = [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda pod: _examine(kubectl, pod), staying))


def _examine(kubectl: Kubectl, pod: Mapping[str, Any]) -> ServingPod:
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    status = pod.get("status", {})
    containers = status.get("containerStatuses", [])
    # One without a running container would be waited for until the timeout.
    running = any("running" in container.get("state", {}) for container in containers)
    return ServingPod(
        namespace,
        name,
        _ready_response(kubectl, namespace, name) if running else {},
        _why_not_ready(status, containers),
        status.get("phase") in ("Failed", "Succeeded"),
    )


def _ready_response(kubectl: Kubectl, namespace: str, name: str) -> Mapping[str, Any]:
    path = f"/api/v1/namespaces/{namespace}/pods/{name}:8000/proxy/ready"
    done = kubectl.run("get", f"--raw={path}", timeout=10)
    # What a pod that is not ready answers with comes inside the API server's words for it.
    text = done.stdout if done.returncode == 0 else _body(done.stderr)
    try:
        answer = json.loads(text)
    except ValueError:
        answer = {}
    return answer if isinstance(answer, dict) else {}


def _why_not_ready(status: Mapping[str, Any], containers: list[Mapping[str, Any]]) -> str:
    conditions = {one["type"]: one for one in status.get("conditions", [])}
    if conditions.get("Ready", {}).get("status") == "True":
        return ""
    waiting = [c["state"]["waiting"].get("reason") for c in containers if c["state"].get("waiting")]
    scheduled = conditions.get("PodScheduled", {})
    phase = status.get("phase", "Unknown")
    if phase != "Running":
        reason = status.get("reason") or next(iter(waiting), None)
        if scheduled.get("status") == "False":
            reason = scheduled.get("reason") or reason
        return f"{phase}: {reason}" if reason else str(phase)
    return next(filter(None, waiting), "not ready")


def _body(words: str) -> str:
    start, end = words.find("{"), words.rfind("}")
    return words[start : end + 1] if start >= 0 else ""
