"""What doctor says of the engine and of clusters in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from doctor_fakes import FACTS, Programs, known, make_context, programs

from kindling.doctor import containers
from kindling.doctor.machine import Done
from kindling.errors import KindlingError

DOWN: Any = {"docker_info": Done(1, "", "Cannot connect to the Docker daemon")}
NODES = "kindling-control-plane\nkindling-worker\n"


def only(*names: str) -> Any:
    """A PATH with these programs."""
    return lambda name: f"/usr/bin/{name}" if name in names else None


def test_an_engine_that_answers_is_named_with_its_socket(tmp_path: Path) -> None:
    check = containers.engine(make_context(tmp_path))
    assert check.status == "ok"
    assert "unix:///e.sock, version 29.0.0" in check.found


def test_a_rootless_engine_is_warned_of(tmp_path: Path) -> None:
    context = make_context(tmp_path, info={"SecurityOptions": ["name=rootless"]})
    assert containers.engine(context).status == "warn"


def test_without_an_engine_root_on_debian_gets_one(tmp_path: Path) -> None:
    check = containers.engine(make_context(tmp_path, which=only("apt-get")))
    assert check.status == "ok"
    assert "cluster-up installs" in check.found


@pytest.mark.parametrize(
    "changes",
    [
        {"which": only("apt-get"), "uid": 1000},
        {"which": only()},
        {"which": only("apt-get"), "variables": {"engine_source": "none"}},
    ],
)
def test_without_an_engine_and_no_way_to_one_doctor_fails(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    assert containers.engine(make_context(tmp_path, **changes)).status == "fail"


def test_an_installed_engine_that_is_down_is_to_be_started(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    check = containers.engine(make_context(tmp_path, run=programs(**DOWN)))
    assert (check.status, check.fix) == ("fail", "sudo systemctl start docker")


def test_an_engine_elsewhere_that_the_client_knows_is_named(tmp_path: Path) -> None:
    run = programs(**DOWN, docker_context="unix:///home/me/docker.sock\n")
    check = containers.engine(make_context(tmp_path, run=run))
    assert check.fix == "export DOCKER_HOST=unix:///home/me/docker.sock"


def test_privileged_containers_are_tried(tmp_path: Path) -> None:
    tried = []
    context = make_context(tmp_path, prove_privileged=lambda *args: tried.append(args))
    assert containers.privileged(context).status == "ok"
    assert tried == [(Path("/usr/bin/docker"), "unix:///e.sock")]


def test_an_engine_that_refuses_privileged_containers_fails(tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise KindlingError("operation not permitted")

    check = containers.privileged(make_context(tmp_path, prove_privileged=refuse))
    assert (check.status, check.found) == ("fail", "operation not permitted")


@pytest.mark.parametrize(
    ("facts", "status"), [(None, "fail"), ({**FACTS, "engine": {"owned": False}}, "warn")]
)
def test_engine_whose_containers_reach_no_package_is_told_before_a_build_needs_it(
    tmp_path: Path, facts: dict[str, Any] | None, status: str
) -> None:
    def refuse(docker: Path, host: str, target: tuple[str, int]) -> None:
        raise KindlingError(f"a container does not reach {target[0]}", next_step="restart it")

    check = containers.network(make_context(tmp_path, prove_network=refuse, facts=lambda _: facts))
    assert (check.status, check.found) == (status, "a container does not reach pip.example")
    assert check.fix == "restart it"


def test_network_of_an_engine_of_ours_is_mended_by_cluster_up(tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise KindlingError("no network")

    check = containers.network(make_context(tmp_path, prove_network=refuse, facts=lambda _: FACTS))
    assert (check.status, check.fix) == ("warn", "nox -s cluster-up restarts it")


def test_nothing_is_tried_without_an_engine_or_beside_running_nodes(tmp_path: Path) -> None:
    def unwanted(*_: object) -> None:
        raise AssertionError

    down = make_context(tmp_path, run=programs(**DOWN), prove_privileged=unwanted)
    up = make_context(tmp_path, run=programs(docker_ps=NODES), prove_privileged=unwanted)
    assert containers.privileged(down).status == "skip"
    assert containers.privileged(up).status == "ok"


@pytest.mark.parametrize(
    ("info", "status"),
    [
        ({}, "ok"),
        ({"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}, "warn"),
        ({"Driver": "vfs"}, "warn"),
    ],
)
def test_image_store(tmp_path: Path, info: dict[str, Any], status: str) -> None:
    context = make_context(tmp_path, info={"Driver": "overlay2", **info})
    assert containers.image_store(context).status == status


@pytest.mark.parametrize(
    ("nodes", "facts", "status"),
    [
        ("", None, "ok"),
        (NODES, known(), "ok"),
        (NODES, None, "fail"),
        (NODES, known(complete=False), "warn"),
        ("", known(), "warn"),
    ],
)
def test_a_cluster_of_the_same_name(tmp_path: Path, nodes: str, facts: Any, status: str) -> None:
    context = make_context(tmp_path, run=programs(docker_ps=nodes), facts=facts or (lambda _: None))
    check = containers.same_name(context)
    assert check.status == status
    assert bool(check.fix) == (status != "ok")


def test_a_cluster_whose_engine_is_silent_is_warned_of(tmp_path: Path) -> None:
    context = make_context(tmp_path, run=programs(**DOWN), facts=known())
    assert containers.same_name(context).status == "warn"


def test_a_pod_network_that_ignores_policies_is_named(tmp_path: Path) -> None:
    check = containers.pod_network(make_context(tmp_path, facts=known()))
    assert (check.status, check.found) == (
        "warn",
        "kindling-ptp does not enforce NetworkPolicies",
    )
    network = {"name": "kindnet", "enforces_network_policy": True}
    enforcing = make_context(tmp_path, facts=known(pod_network=network))
    assert containers.pod_network(enforcing).status == "ok"
    assert containers.pod_network(make_context(tmp_path)).status == "skip"


def test_the_engine_is_asked_once(tmp_path: Path) -> None:
    run = programs()
    context = make_context(tmp_path, run=run)
    containers.engine(context)
    containers.image_store(context)
    assert isinstance(run, Programs)
    assert sum(line.startswith("docker info") for line in run.asked) == 1
