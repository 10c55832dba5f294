"""What is seen of the service's pods, from objects as Kubernetes has them."""

from __future__ import annotations

from subprocess import CompletedProcess
from typing import Any

from kindling.kubectl import Kubectl
from kindling.pods import ServingPod, serving_pods

READY = '{"status":"ready"}'
LOADING = 'Error from server (ServiceUnavailable): {"status":"not ready","reason":"loading"}'
RUNNING = {"state": {"running": {}}}


def described(name: str, phase: str, *, ready: bool = False, **changes: Any) -> dict[str, Any]:
    conditions = [{"type": "PodScheduled", "status": "True"},
                  {"type": "Ready", "status": "True" if ready else "False"}]  # fmt: skip
    running = [RUNNING] if phase == "Running" else []
    status = {"phase": phase, "conditions": conditions, "containerStatuses": running} | changes
    return {"metadata": {"name": name, "namespace": "kindling"}, "status": status}


class FakeKubectl(Kubectl):
    """Lists ``pods``, and answers for those in ``responses`` as the API server's proxy does."""

    def __init__(
        self, pods: list[dict[str, Any]], responses: dict[str, tuple[int, str, str]]
    ) -> None:
        object.__setattr__(self, "pods", pods)
        object.__setattr__(self, "responses", responses)
        object.__setattr__(self, "listed", [])

    def items(self, kind: str, *args: str) -> Any:
        self.listed.append((kind, *args))  # type: ignore[attr-defined]
        return self.pods  # type: ignore[attr-defined]

    def run(self, *args: str, stdin: str | None = None, timeout: float = 60) -> Any:
        name = args[1].split("/pods/")[1].split(":")[0]
        return CompletedProcess(args, *self.responses[name])  # type: ignore[attr-defined]


def found(kubectl: FakeKubectl) -> dict[str, ServingPod]:
    return {pod.name: pod for pod in serving_pods(kubectl, "kindling")}


def test_only_the_release_in_its_own_namespace_is_looked_at() -> None:
    kubectl = FakeKubectl([], {})
    assert found(kubectl) == {}
    ((kind, namespace, selector),) = kubectl.listed  # type: ignore[attr-defined]
    assert (kind, namespace) == ("pods", "--namespace=kindling")
    assert "app.kubernetes.io/instance=serving" in selector


def test_pods_say_what_they_lack() -> None:
    pods = found(
        FakeKubectl(
            [described("a", "Running", ready=True), described("b", "Running"),
             described("c", "Running")],
            {"a": (0, READY, ""), "b": (1, "", LOADING), "c": (1, "", "no")},
        )
    )  # fmt: skip
    assert [(name, pod.answer.get("reason", "-"), pod.not_ready) for name, pod in pods.items()] == [
        ("a", "-", ""), ("b", "loading", "not ready"), ("c", "-", "not ready"),
    ]  # fmt: skip


def test_pod_without_a_running_container_is_not_asked_and_says_why() -> None:
    unscheduled = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]
    crashing = [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
    pulling = [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]
    pods = found(
        FakeKubectl(
            [
                described("new", "Pending", conditions=unscheduled, containerStatuses=[]),
                described("image", "Pending", containerStatuses=pulling),
                described("crashing", "Running", containerStatuses=crashing),
                described("evicted", "Failed", reason="Evicted"),
                {"metadata": {"name": "bare", "namespace": "kindling"}},
            ],
            {},
        )
    )
    assert {name: pod.not_ready for name, pod in pods.items()} == {
        "new": "Pending: Unschedulable",
        "image": "Pending: ImagePullBackOff",
        "crashing": "CrashLoopBackOff",
        "evicted": "Failed: Evicted",
        "bare": "Unknown",
    }
    assert [name for name, pod in pods.items() if pod.is_finished] == ["evicted"]


def test_pod_on_a_lost_node_is_not_ready_although_its_container_is_said_to_run() -> None:
    pods = found(FakeKubectl([described("a", "Running")], {"a": (124, "", "no answer in 10 s")}))
    assert (pods["a"].not_ready, pods["a"].answer) == ("not ready", {})


def test_terminating_pod_is_left_out() -> None:
    going = described("a", "Running", ready=True)
    going["metadata"]["deletionTimestamp"] = "2026-01-01T10:00:00Z"
    assert found(FakeKubectl([going], {})) == {}
