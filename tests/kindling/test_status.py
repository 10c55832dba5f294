"""What status says of clusters in every state."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from doctor_fakes import FACTS
from rich.console import Console

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
    containers: str | None = "n1 running\n",
    ready: dict[str, Any] | None = READY,
    **facts: Any,
) -> dict[str, Any]:
    def answer(_: object) -> list[dict[str, Any]]:
        if isinstance(objects, Exception):
            raise objects
        found: list[dict[str, Any]] = objects
        return found if objects is not None else [node(), deployment(), AUTOSCALER, FOREIGN]

    return status.collect(
        "kindling",
        status.Probes(
            facts=lambda _: {**FACTS, **facts},
            run=lambda *_, **__: Done(1 if containers is None else 0, containers or "", ""),
            objects=answer,
            ready=lambda _: ready,
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
        ({"ready": None}, "degraded", "serving is not ready at http://127.0.0.1:8080"),
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
    assert status.ask_ready("http://127.0.0.1:1") is None
