"""What status says of clusters in every state."""

from __future__ import annotations

import json
import socket
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from doctor_fakes import FACTS
from rich.console import Console
from scripted import Scripted, fails, scripted

from kindling import status, status_objects, status_view
from kindling.doctor.machine import Done
from kindling.errors import KindlingError

READY = {"status": "ready", "reason": None, "models": [{"name": "digits", "version": "3"}]}
LABELS = {"app.kubernetes.io/part-of": "kindling"}


def node(name: str = "n1", *, ready: str = "True", gpus: str = "2") -> dict[str, Any]:
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kindling.dev/pool": "gpu"}},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "nodeInfo": {"kubeletVersion": "v1.36.4"},
            "allocatable": {"nvidia.com/gpu": gpus},
        },
    }


def deployment(**numbers: int) -> dict[str, Any]:
    counts = {"readyReplicas": 2, "updatedReplicas": 2, **numbers}
    return {
        "kind": "Deployment",
        "metadata": {"name": "serving", "namespace": "kindling", "labels": LABELS},
        "spec": {"replicas": 2},
        "status": counts,
    }


AUTOSCALER = {
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "serving", "namespace": "kindling", "labels": LABELS},
    "spec": {
        "minReplicas": 1,
        "maxReplicas": 4,
        "metrics": [
            {"resource": {"name": "cpu", "target": {"averageUtilization": 70}}},
            {"pods": {"metric": {"name": "in_flight"}, "target": {"averageValue": "4"}}},
        ],
    },
    "status": {
        "currentReplicas": 2,
        "desiredReplicas": 3,
        "currentMetrics": [
            {"resource": {"name": "cpu", "current": {"averageUtilization": 91}}},
            {"pods": {"metric": {"name": "in_flight"}, "current": {"averageValue": "2500m"}}},
        ],
    },
}
DAEMON = {
    "kind": "DaemonSet",
    "metadata": {"name": "gpus", "namespace": "kindling-system", "labels": LABELS},
    "spec": {},
    "status": {"desiredNumberScheduled": 1, "numberReady": 0},
}
FOREIGN = {**deployment(), "metadata": {"name": "coredns", "namespace": "kube-system"}}


def collect(
    objects: Any = None,
    *,
    containers: str | Done | None = "n1 running\n",
    ready: dict[str, Any] | TimeoutError = READY,
    **facts: Any,
) -> dict[str, Any]:
    def answer(_: object) -> list[dict[str, Any]]:
        if isinstance(objects, Exception):
            raise objects
        found: list[dict[str, Any]] = objects
        return found if objects is not None else [node(), deployment(), AUTOSCALER, FOREIGN]

    def health(_: str) -> dict[str, Any]:
        if isinstance(ready, TimeoutError):
            raise ready
        return ready

    listed = containers
    if not isinstance(listed, Done):
        listed = Done(1 if containers is None else 0, listed or "", "")
    return status.collect(
        "kindling",
        status.Probes(
            facts=lambda _: {**FACTS, **facts},
            run=lambda *_, **__: listed,
            objects=answer,
            ready=health,
            cache=lambda *_: {"path": "/c", "bytes": 1, "counted": True, "free_bytes": 1},
        ),
    )


def printed(found: dict[str, Any]) -> str:
    out = StringIO()
    Console(file=out, width=200).print(status_view.render(found))
    return out.getvalue()


def test_a_running_cluster_is_shown_whole() -> None:
    found = collect()
    assert (found["state"], found["problems"]) == ("running", [])
    text = printed(found)
    for words in (
        "cluster kindling: running",
        "2 simulated",
        "kindling/serving",
        "91 % (target 70 %)",
        "in_flight 2.5 (target 4)",
        "http://127.0.0.1:8080",
        "digits 3",
        "not enforced by kindling-ptp",
        "started by Kindling",
        "kindling/node:1",
        "next: open http://127.0.0.1:8080/docs",
    ):
        assert words in text


def test_the_json_has_its_documented_keys() -> None:
    absent = status.collect("other", status.Probes(facts=lambda _: None, cache=lambda *_: {}))
    found = collect()
    assert set(found) == set(absent)
    assert all(f"``{key}``" in (status.__doc__ or "") for key in found)
    assert all(f"``{key}``" in (status.__doc__ or "") for one in found["nodes"] for key in one)
    assert json.loads(json.dumps(found)) == found


def test_only_workloads_of_ours_are_shown() -> None:
    assert [one["name"] for one in collect()["workloads"]] == ["serving"]


def test_without_a_cluster_the_next_step_is_named() -> None:
    found = status.collect("kindling", status.Probes(facts=lambda _: None, cache=lambda *_: {}))
    assert (found["state"], found["next"]) == ("absent", "nox -s cluster-up")
    assert "next: nox -s cluster-up" in printed(found)


@pytest.mark.parametrize(
    ("changes", "state", "said"),
    [
        ({"containers": None}, "stopped", "unix:///e.sock does not answer"),
        ({"containers": "n1 exited\n"}, "stopped", "n1 is exited"),
        ({"containers": ""}, "absent", "its nodes are gone"),
        ({"complete": False}, "incomplete", "interrupted"),
        ({"objects": KindlingError("connection refused")}, "unreachable", "connection refused"),
        ({"objects": [node(ready="Unknown"), deployment()]}, "degraded", "node n1 is not ready"),
        ({"objects": [node(gpus="0"), deployment()]}, "degraded", "n1 offers 0 of 2 GPUs"),
        ({"objects": [node(), deployment(readyReplicas=1)]}, "degraded", "serving has 1 of 2"),
        ({"objects": [node(), deployment(updatedReplicas=0)]}, "degraded", "serving has 0 of 2"),
        ({"objects": [node(), DAEMON]}, "degraded", "kindling-system/gpus has 0 of 1"),
        ({"objects": [node()]}, "degraded", "nothing of Kindling's is installed"),
        ({"ready": {}}, "degraded", "serving is not ready at http://127.0.0.1:8080"),
        ({"ready": {"status": "not ready"}}, "degraded", "serving is not ready"),
    ],
)
def test_a_cluster_that_is_not_well_says_why(
    changes: dict[str, Any], state: str, said: str
) -> None:
    found = collect(**changes)
    assert found["state"] == state
    assert said in found["problems"][0]
    assert found["next"]
    assert said in printed(found)


LATE = Done(None, "", "no answer in 1.8 s")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objects": TimeoutError()}, "the API server: no answer yet"),
        ({"ready": TimeoutError()}, "serving at http://127.0.0.1:8080: no answer yet"),
        ({"containers": LATE}, "the container engine at unix:///e.sock: no answer yet"),
    ],
)
def test_busy_machine_is_not_a_dead_cluster(
    changes: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = collect(**changes)
    assert found["state"] == "unknown"
    assert said in found["problems"][0]
    text = printed(found)
    assert "no answer yet" in text
    assert "not ready" not in text
    assert found["next"].startswith("nox -s status")
    monkeypatch.setattr(status, "collect", lambda _: found)
    assert status.main([]) == 4


def test_what_is_wrong_counts_more_than_what_is_late() -> None:
    found = collect([node(ready="Unknown"), deployment()], ready=TimeoutError())
    assert found["state"] == "degraded"
    assert len(found["problems"]) == 2


@pytest.mark.parametrize(
    "said",
    [
        "Unable to connect to the server: context deadline exceeded",
        "Unable to connect to the server: net/http: TLS handshake timeout",
        "error: the server was unable to return a response in the time allotted: timed out",
        "Get https://127.0.0.1: net/http: request canceled (Client.Timeout exceeded)",
    ],
)
def test_api_server_that_is_late_is_told_from_one_that_refuses(tmp_path: Path, said: str) -> None:
    late = scripted(tmp_path, "kubectl", fails(said))
    with pytest.raises(TimeoutError):
        status.ask_kubectl(facts_of(late))
    (tmp_path / "other").mkdir()
    refused = "The connection to the server 127.0.0.1:6443 was refused"
    dead = scripted(tmp_path / "other", "kubectl", fails(refused))
    with pytest.raises(KindlingError, match="refused"):
        status.ask_kubectl(facts_of(dead))


def facts_of(program: Scripted) -> dict[str, Any]:
    tools = {**FACTS["tools"], "kubectl": str(program.path)}
    return {**FACTS, "tools": tools, "kubeconfig": "f", "context": "c"}


def test_url_that_is_late_is_told_from_one_that_nobody_serves() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimeoutError):
        status.ask_ready(f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_no_gpus_are_missed_where_none_are_wanted() -> None:
    assert collect([node(gpus="0"), deployment()], gpu_mode="none")["state"] == "running"


def test_real_gpus_are_not_called_simulated() -> None:
    assert "simulated" not in printed(collect(gpu_mode="nvidia"))


def test_an_autoscaler_without_metrics_says_so() -> None:
    bare = {**AUTOSCALER, "status": {"currentReplicas": 1, "desiredReplicas": 0}}
    text = printed(collect([node(), deployment(), bare]))
    assert "not measured yet (target 70 %)" in text
    assert "in_flight not measured yet (target 4)" in text


def test_the_size_of_the_cache_says_when_it_is_not_all(tmp_path: Path) -> None:
    def du(words: list[str], **_: object) -> Done:
        return Done(None, "", "slow") if words[-1].endswith("big") else Done(0, "5\tx", "")

    (tmp_path / "small").mkdir()
    size = status_objects.cache_size(tmp_path, du)
    assert (size["bytes"], size["counted"]) == (5, True)
    (tmp_path / "big").mkdir()
    size = status_objects.cache_size(tmp_path, du)
    assert (size["bytes"], size["counted"]) == (5, False)


def test_the_exit_code_is_three_without_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main(["--set", "cluster_name=no-such-cluster", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["state"] == "absent"


def test_a_port_where_nobody_answers_is_not_ready() -> None:
    assert status.ask_ready("http://127.0.0.1:1") == {}
