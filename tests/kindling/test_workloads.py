"""When a workload is ready, and what is said of one that is not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kindling import workloads
from kindling.api import Api, ApiError
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl
from kindling.workloads import Workload, state


def deployment(**status: int) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"generation": 2, "namespace": "shop", "name": "web"},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 2, **status},
    }


WEB = Workload("Deployment", "web", "shop")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}, ""),
        ({"replicas": 2, "updatedReplicas": 2, "readyReplicas": 1}, "1 of 2 pods ready"),
        ({"replicas": 2, "updatedReplicas": 1, "readyReplicas": 2}, "1 of 2 pods ready"),
        ({"replicas": 3, "updatedReplicas": 2, "readyReplicas": 3}, "old pods are still there"),
        ({"observedGeneration": 1}, "not seen by its controller yet"),
    ],
)
def test_a_deployment_is_ready_when_all_its_new_pods_are(
    status: dict[str, int], words: str
) -> None:
    assert state(WEB, deployment(**status)) == words


def test_a_deployment_that_somebody_scaled_to_none_is_not_ready() -> None:
    assert "scaled it to 0" in state(WEB, {**deployment(), "spec": {"replicas": 0}})


def test_what_is_not_there_is_said_to_be_absent() -> None:
    assert state(WEB, None) == "is not there"


def test_an_api_is_ready_when_it_is_available() -> None:
    api = Workload("APIService", "v1beta1.metrics.k8s.io")
    condition = {"type": "Available", "status": "False", "message": "no endpoints"}
    assert state(api, {"status": {"conditions": [condition]}}) == "no endpoints"
    assert state(api, {"status": {"conditions": [{**condition, "status": "True"}]}}) == ""


def node(ready: str = "True", gpus: str = "2") -> dict[str, Any]:
    return {
        "kind": "Node",
        "metadata": {"name": "n", "labels": {"kindling.dev/gpu-count": "2"}},
        "status": {
            "conditions": [{"type": "Ready", "status": ready, "message": "no network"}],
            "allocatable": {"nvidia.com/gpu": gpus},
        },
    }


def test_a_node_is_ready_when_it_offers_the_gpus_that_it_promises() -> None:
    n = Workload("Node", "n")
    assert state(n, node()) == ""
    assert state(n, node(gpus="0")) == "offers 0 of 2 nvidia.com/gpu"
    assert state(n, node(ready="False")) == "no network"


class FakeApi(Api):
    """Answers lists of items by kind."""

    def __init__(self, answer: Callable[[str], list[dict[str, Any]]]) -> None:
        self.answer = answer

    def items(self, path: str, *, timeout: float = 20, **selectors: str) -> list[dict[str, Any]]:
        return self.answer(path.rpartition("/")[2])


class FakeKubectl(Kubectl):
    """Answers lists of items by kind."""

    def __init__(self, answer: Callable[[str], list[dict[str, Any]]]) -> None:
        super().__init__(Path("kubectl"), Path("kubeconfig"), "context")
        object.__setattr__(self, "answer", answer)

    def api(self, *, patient: bool | None = None) -> Api:
        return FakeApi(self.answer)  # type: ignore[attr-defined]

    def run(
        self, *args: str, stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        items = self.answer(args[1])  # type: ignore[attr-defined]
        return subprocess.CompletedProcess(args, 0, json.dumps({"items": items}), "")

    def check(self, *args: str, stdin: str | None = None, timeout: float = 60) -> str:
        return self.run(*args).stdout


OF_WEB = {
    "name": "web-1",
    "creationTimestamp": "2026-01-01T00:00:00Z",
    "labels": {"pod-template-hash": "5d9c"},
    "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5d9c", "controller": True}],
}


def pod(reason: str, message: str = "because", kind: str = "containerStatuses") -> dict[str, Any]:
    waiting = {"reason": reason, "message": message}
    status = {"containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}]}
    return {"metadata": OF_WEB, "status": {**status, kind: [{"state": {"waiting": waiting}}]}}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that passes while a wait sleeps, and no other."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def test_a_wait_ends_at_its_bound_with_the_last_state_and_the_pods_reason() -> None:
    def answer(kind: str) -> list[dict[str, Any]]:
        return [pod("CrashLoopBackOff")] if kind == "pods" else [deployment(readyReplicas=1)]

    with pytest.raises(KindlingError) as failure:
        workloads.wait(FakeKubectl(answer), [WEB], timeout=0)
    assert "Deployment shop/web: 0 of 2 pods ready" in failure.value.message
    assert "pod shop/web-1: CrashLoopBackOff: because" in failure.value.message


UNSCHEDULABLE = {
    "metadata": OF_WEB,
    "status": {
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/1 nodes are available: 1 node(s) had untolerated taint "
                "{node.kubernetes.io/not-ready: }. preemption: not eligible due to lack of pods.",
            }
        ]
    },
}
# As the kubelet of Kubernetes 1.36 words them.
TRANSIENT = [
    UNSCHEDULABLE,
    pod(
        "CreateContainerConfigError",
        "failed to sync secret cache: timed out waiting for the condition",
    ),
    pod(
        "CreateContainerConfigError",
        "failed to sync configmap cache: timed out waiting for the condition",
        "initContainerStatuses",
    ),
    pod("CreateContainerConfigError", 'object "shop"/"db" not registered'),
    pod(
        "CreateContainerConfigError",
        "services have not yet been read at least once, cannot construct envvars",
    ),
    pod(
        "CreateContainerError",
        'failed to reserve container name "web_web-1_shop_0_0": name is reserved for "8f1d"',
    ),
    pod("RunContainerError", "context deadline exceeded"),
    pod("ImageInspectError", 'Failed to inspect image "web:1": rpc error: code = Unavailable'),
    pod("ErrImagePull", "dial tcp: lookup registry.example: i/o timeout"),
    pod("ImagePullBackOff", 'Back-off pulling image "web:1": ErrImagePull: not found'),
    pod(
        "CrashLoopBackOff", "back-off 10s restarting failed container=web", "initContainerStatuses"
    ),
]


@pytest.mark.parametrize("waiting", TRANSIENT)
def test_a_wait_outlasts_what_a_slow_node_says_before_it_runs_a_pod(
    clock: list[float], waiting: dict[str, Any]
) -> None:
    def answer(kind: str) -> list[dict[str, Any]]:
        if kind == "pods":
            return [waiting]
        ready = 2 if clock[0] > 500 else 0
        return [deployment(replicas=2, updatedReplicas=2, readyReplicas=ready)]

    assert workloads.wait(FakeKubectl(answer), [WEB], timeout=600)[str(WEB)] >= 500


@pytest.mark.parametrize("waiting", TRANSIENT)
def test_a_wait_at_its_bound_names_what_a_slow_node_said_last(
    clock: list[float], waiting: dict[str, Any]
) -> None:
    def answer(kind: str) -> list[dict[str, Any]]:
        return [waiting] if kind == "pods" else [deployment()]

    with pytest.raises(KindlingError, match="not ready after 600 s") as failure:
        workloads.wait(FakeKubectl(answer), [WEB], timeout=600)
    assert f"pod shop/web-1: {workloads.pod_trouble(waiting)}" in failure.value.message
    assert clock[0] > 600


MISSING = [
    pod("CreateContainerConfigError", 'secret "db" not found'),
    pod("CreateContainerConfigError", 'configmap "web" not found', "initContainerStatuses"),
    pod("CreateContainerConfigError", "couldn't find key password in Secret shop/db"),
    pod("CreateContainerConfigError", "couldn't find key rules in ConfigMap shop/web"),
]


@pytest.mark.parametrize("waiting", MISSING)
def test_a_wait_ends_early_when_an_object_stays_missing(
    clock: list[float], waiting: dict[str, Any]
) -> None:
    def answer(kind: str) -> list[dict[str, Any]]:
        return [waiting] if kind == "pods" else [deployment()]

    with pytest.raises(KindlingError, match="waiting cannot help") as failure:
        workloads.wait(FakeKubectl(answer), [WEB], timeout=600)
    assert "not found" in failure.value.message or "couldn't find key" in failure.value.message
    assert 300 < clock[0] < 360


def test_a_wait_goes_on_when_a_missing_object_was_seen_in_between(clock: list[float]) -> None:
    def answer(kind: str) -> list[dict[str, Any]]:
        if kind == "pods":
            # Missing for four minutes, there for a minute, and so on.
            return [MISSING[0]] if clock[0] % 300 < 240 else []
        ready = 2 if clock[0] > 500 else 0
        return [deployment(replicas=2, updatedReplicas=2, readyReplicas=ready)]

    assert workloads.wait(FakeKubectl(answer), [WEB], timeout=600)[str(WEB)] >= 500


@pytest.mark.parametrize("kind", ["containerStatuses", "initContainerStatuses"])
@pytest.mark.parametrize("reason", ["ErrImageNeverPull", "InvalidImageName"])
def test_a_wait_for_an_image_that_cannot_come_ends_at_once(
    clock: list[float], reason: str, kind: str
) -> None:
    def answer(asked: str) -> list[dict[str, Any]]:
        return [pod(reason, kind=kind)] if asked == "pods" else [deployment()]

    with pytest.raises(KindlingError, match="waiting cannot help"):
        workloads.wait(FakeKubectl(answer), [WEB], timeout=600)
    assert clock[0] < 30


def test_a_wait_for_what_somebody_scaled_to_none_ends_at_once(clock: list[float]) -> None:
    kubectl = FakeKubectl(lambda _: [{**deployment(), "spec": {"replicas": 0}}])
    with pytest.raises(KindlingError, match=r"cannot help:\n.*scaled it to 0"):
        workloads.wait(kubectl, [WEB], timeout=600)
    assert clock[0] == 0


@pytest.mark.parametrize(
    "other",
    [
        {"name": "debug", "ownerReferences": []},
        {
            "name": "web-2",
            "creationTimestamp": "2025-12-31T00:00:00Z",
            "labels": {"pod-template-hash": "77aa"},
        },
        {
            "name": "web-api-1",
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-api-5d9c", "controller": True}],
        },
    ],
    ids=["of nobody", "of an earlier revision", "of another workload"],
)
def test_a_wait_is_not_ended_by_pods_that_are_not_what_it_waits_for(
    clock: list[float], other: dict[str, Any]
) -> None:
    theirs = {**pod("InvalidImageName"), "metadata": {**OF_WEB, **other}}

    def answer(kind: str) -> list[dict[str, Any]]:
        if kind == "pods":
            return [theirs, {"metadata": OF_WEB, "status": {}}]
        ready = 2 if clock[0] > 100 else 0
        return [deployment(replicas=2, updatedReplicas=2, readyReplicas=ready)]

    assert workloads.wait(FakeKubectl(answer), [WEB], timeout=600)[str(WEB)] >= 100


def test_all_are_waited_for_at_once_and_each_gets_its_time() -> None:
    polls = 0

    def answer(kind: str) -> list[dict[str, Any]]:
        nonlocal polls
        if kind in ("pods", "nodes"):
            return [node()] if kind == "nodes" else []
        polls += 1
        ready = {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2 if polls > 1 else 0}
        return [deployment(**ready)]

    times = workloads.wait(FakeKubectl(answer), [WEB, Workload("Node", "*")], timeout=60)
    assert times["Node *"] < times["Deployment shop/web"]


def test_a_wait_outlasts_an_api_server_that_does_not_answer() -> None:
    looks = 0

    def answer(kind: str) -> list[dict[str, Any]]:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise ApiError("does not answer: Connection refused")
        return [deployment(replicas=2, updatedReplicas=2, readyReplicas=2)]

    assert "Deployment shop/web" in workloads.wait(FakeKubectl(answer), [WEB], timeout=60)
    assert looks == 2


def test_a_wait_for_an_api_server_that_does_not_answer_ends_with_its_words() -> None:
    def answer(kind: str) -> list[dict[str, Any]]:
        if kind == "pods":
            return []
        raise ApiError("does not answer: Connection refused")

    with pytest.raises(KindlingError, match="does not answer: Connection refused"):
        workloads.wait(FakeKubectl(answer), [WEB], timeout=0)
