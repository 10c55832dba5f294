"""What each pod of the model service says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kindling.kubectl import Kubectl

_SELECTOR = "app.kubernetes.io/name=serving,app.kubernetes.io/part-of=kindling"


@dataclass(frozen=True, eq=False)
class ServingPod:
    """A pod and its answer to ``/ready``: empty where it gave none."""

    namespace: str
    name: str
    answer: Mapping[str, Any]

    def model(self, name: str) -> Mapping[str, Any]:
        """What it says of the model ``name``; empty where it does not serve it."""
        found = [one for one in self.answer.get("models", []) if one["name"] == name]
        return found[0] if found else {}


def serving_pods(kubectl: Kubectl) -> list[ServingPod]:
    """Every pod of the service that is not going away, asked through the API server."""
    items = kubectl.items("pods", "--all-namespaces", f"--selector={_SELECTOR}")
    staying = [pod["metadata"] for pod in items if "deletionTimestamp" not in pod["metadata"]]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda about: _asked(kubectl, about), staying))


def _asked(kubectl: Kubectl, about: Mapping[str, Any]) -> ServingPod:
    namespace, name = about["namespace"], about["name"]
    path = f"/api/v1/namespaces/{namespace}/pods/{name}:8000/proxy/ready"
    done = kubectl.run("get", f"--raw={path}", timeout=10)
    # What a pod that is not ready answers with comes inside the API server's words for it.
    text = done.stdout if done.returncode == 0 else _body(done.stderr)
    try:
        answer = json.loads(text)
    except ValueError:
        answer = {}
    return ServingPod(namespace, name, answer if isinstance(answer, dict) else {})


def _body(words: str) -> str:
    start, end = words.find("{"), words.rfind("}")
    return words[start : end + 1] if start >= 0 else ""
