"""Waiting for several workloads at once, and saying what the slow ones wait for."""

from __future__ import annotations

import itertools
import json
import re
import time
import urllib.error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kindling import progress, web
from kindling.api import Api, ApiError
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl

_POLL_SECONDS = 0.8
# Pods are looked at in every n-th poll only: it costs more than the poll itself.
_LOOK_AT_PODS = 8
# A kubelet on a slow node says for minutes that what is there by now is missing.
_NOT_FOUND_SECONDS = 300.0
_LISTS = {
    "Deployment": "/apis/apps/v1/deployments",
    "StatefulSet": "/apis/apps/v1/statefulsets",
    "DaemonSet": "/apis/apps/v1/daemonsets",
    "APIService": "/apis/apiregistration.k8s.io/v1/apiservices",
    "Node": "/api/v1/nodes",
}
_GPU, _GPU_LABEL = "nvidia.com/gpu", "kindling.dev/gpu-count"
_HOPELESS = ("ErrImageNeverPull", "InvalidImageName")
# Under the same reason a kubelet that has just joined says "failed to sync secret cache", and tries
# again by itself: only what the API server does not have counts.
_NOT_FOUND = re.compile(
    r"CreateContainerConfigError: "
    r"((secret|configmap) \".+\" not found|couldn't find key .+ in (Secret|ConfigMap) )"
)
_STARTING = ("ContainerCreating", "PodInitializing")
_SCALED_TO_0 = "somebody has scaled it to 0"


@dataclass(frozen=True)
class Workload:
    """A Deployment, StatefulSet, DaemonSet, APIService, Node or URL.

    The last three have no namespace.

    A Node is ready when its kubelet says so and it offers the GPUs that its label promises; the
    name ``*`` stands for all nodes. A URL, its name, is ready when it answers with 200.
    """

    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"


def state(workload: Workload, live: Mapping[str, Any] | None) -> str:
    """Empty when ``workload`` is ready, else what it lacks, in words."""
    if live is None:
        return "is not there"
    status = live.get("status", {})
    if workload.kind == "APIService":
        conditions = {c["type"]: c for c in status.get("conditions", [])}
        available = conditions.get("Available", {})
        return "" if available.get("status") == "True" else available.get("message", "no answer")
    if workload.kind == "Node":
        return _node_state(live)
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return "not seen by its controller yet"
    if workload.kind == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        updated, ready = status.get("updatedNumberScheduled", 0), status.get("numberReady", 0)
    else:
        wanted = live["spec"].get("replicas", 1)
        if wanted == 0:
            return _SCALED_TO_0
        updated, ready = status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
        if status.get("replicas", 0) > wanted:
            return "old pods are still there"
    done = min(updated, ready)
    return "" if done >= wanted else f"{done} of {wanted} pods ready"


def _node_state(node: Mapping[str, Any]) -> str:
    conditions = {c["type"]: c for c in node["status"].get("conditions", [])}
    ready = conditions.get("Ready", {})
    if ready.get("status") != "True":
        return str(ready.get("message") or "not ready")
    promised = int(node["metadata"]["labels"].get(_GPU_LABEL, 0))
    offered = int(node["status"].get("allocatable", {}).get(_GPU, 0))
    return "" if offered == promised else f"offers {offered} of {promised} {_GPU}"


def wait(kubectl: Kubectl, workloads: Sequence[Workload], timeout: float) -> dict[str, float]:
    """Wait for all of ``workloads``; returns the seconds after which each was ready.

    Raises KindlingError at ``timeout`` seconds, or early where waiting cannot help, with the
    last state of each that is not ready and of its pods.
    """
    began = time.monotonic()
    ready: dict[str, float] = {}
    not_found_since: dict[str, float] = {}
    troubles: dict[str, str] = {}
    # The loop itself is patient, and says meanwhile what it waits for.
    api = kubectl.api(patient=False)
    for poll in itertools.count():
        lacking = not_ready(api, workloads)
        elapsed = time.monotonic() - began
        for workload in workloads:
            if workload not in lacking and str(workload) not in ready:
                ready[str(workload)] = round(elapsed, 1)
                progress.emit(str(workload), "done", seconds=elapsed)
        if not lacking:
            return ready
        if poll % _LOOK_AT_PODS == _LOOK_AT_PODS - 1 or elapsed > timeout:
            troubles = _troubles(kubectl, lacking)
        hopeless = _SCALED_TO_0 in lacking.values() or _hopeless(troubles, not_found_since, elapsed)
        shown = [f"{what}: {words}" for what, words in (*lacking.items(), *troubles.items())]
        progress.emit("wait", "update", "; ".join(shown))
        if hopeless or elapsed > timeout:
            lines = [f"{workload}: {words}" for workload, words in lacking.items()]
            lines += [f"pod {pod}: {why}" for pod, why in troubles.items()]
            bound = "waiting cannot help" if hopeless else f"not ready after {timeout:g} s"
            raise KindlingError(
                f"{bound}:\n  " + "\n  ".join(lines), next_step="nox -s status, nox -s doctor"
            )
        time.sleep(_POLL_SECONDS)
    raise AssertionError("unreachable")


def not_ready(api: Api, workloads: Sequence[Workload]) -> dict[Workload, str]:
    """Those of ``workloads`` that are not ready now, and what each lacks, in words."""
    kinds = sorted({w.kind for w in workloads} & _LISTS.keys())
    try:
        listed = {kind: api.items(_LISTS[kind]) for kind in kinds}
    except ApiError as error:
        return dict.fromkeys(workloads, error.message)
    live = {
        (kind, item["metadata"].get("namespace", ""), item["metadata"]["name"]): item
        for kind, items in listed.items()
        for item in items
    }
    states = {
        w: _answer(w.name) if w.kind == "URL" else state(w, live.get((w.kind, w.namespace, w.name)))
        for w in workloads
    }
    for every in [w for w in workloads if w == Workload("Node", "*")]:
        nodes = {item["metadata"]["name"]: item for item in listed["Node"]}
        lacks = {name: _node_state(node) for name, node in nodes.items()}
        states[every] = "; ".join(f"{name} {why}" for name, why in lacks.items() if why)
    return {workload: words for workload, words in states.items() if words}


def _answer(url: str) -> str:
    try:
        with web.without_proxy().open(url, timeout=5) as answer:
            return "" if answer.status == 200 else f"answers {answer.status}"
    except urllib.error.HTTPError as error:
        return f"answers {error.code}"
    except web.NO_ANSWER as error:
        return f"does not answer: {getattr(error, 'reason', error)}"


def _troubles(kubectl: Kubectl, lacking: Mapping[Workload, str]) -> dict[str, str]:
    """Why the newest pods of ``lacking`` are not running, by pod."""
    found: dict[str, str] = {}
    for namespace in {workload.namespace for workload in lacking if workload.namespace}:
        done = kubectl.run("get", "pods", f"--namespace={namespace}", "--output=json", timeout=20)
        pods = [] if done.returncode else json.loads(done.stdout)["items"]
        for workload in [one for one in lacking if one.namespace == namespace]:
            for pod in _newest(pods, workload):
                if why := pod_trouble(pod):
                    found[f"{namespace}/{pod['metadata']['name']}"] = why
    return found


def _newest(pods: Sequence[Any], workload: Workload) -> list[Any]:
    """The pods of the newest revision of ``workload``: older ones say nothing of what comes."""
    own = [pod["metadata"] for pod in pods if _owner(pod) == (workload.kind, workload.name)]
    if not own:
        return []
    newest = _revision(max(own, key=lambda about: str(about["creationTimestamp"])))
    return [pod for pod in pods if pod["metadata"] in own and _revision(pod["metadata"]) == newest]


def _owner(pod: Mapping[str, Any]) -> tuple[str, str]:
    """Kind and name of the workload that a pod belongs to; empty for one on its own."""
    owners = pod["metadata"].get("ownerReferences", [])
    kind, name = next(((o["kind"], o["name"]) for o in owners if o.get("controller")), ("", ""))
    return ("Deployment", name.rpartition("-")[0]) if kind == "ReplicaSet" else (kind, name)


def _revision(about: Mapping[str, Any]) -> str | None:
    labels: Mapping[str, str] = about.get("labels", {})
    return labels.get("pod-template-hash") or labels.get("controller-revision-hash")


def pod_trouble(pod: Mapping[str, Any]) -> str:
    """Why a pod does not run, or empty."""
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition.get("reason") == "Unschedulable":
            return f"Unschedulable: {condition.get('message', '')}"
    for container in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in _STARTING:
            return f"{waiting.get('reason')}: {waiting.get('message', '')}"[:300]
    return ""


def _hopeless(
    troubles: Mapping[str, str], not_found_since: dict[str, float], elapsed: float
) -> bool:
    """Whether a pod can never run; ``not_found_since`` is kept from one look to the next."""
    missing = {pod for pod, why in troubles.items() if _NOT_FOUND.match(why)}
    for pod in not_found_since.keys() - missing:
        del not_found_since[pod]
    for pod in missing:
        not_found_since.setdefault(pod, elapsed)
    return any(why.startswith(_HOPELESS) for why in troubles.values()) or any(
        elapsed - since > _NOT_FOUND_SECONDS for since in not_found_since.values()
    )
