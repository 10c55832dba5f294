"""What doctor says of the machine itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from doctor_fakes import GIB, INFO, known, make_context, programs

from kindling.doctor import disk, host
from kindling.doctor.machine import Done

MEMORY = "proc/meminfo"
DOWN = {"docker_info": Done(1, "", "permission denied while connecting")}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "ok"),
        ({"system": "Darwin"}, "fail"),
        ({"arch": "riscv64"}, "fail"),
        ({"files": {"etc/os-release": "ID=fedora\n"}}, "warn"),
        ({"files": {"etc/os-release": "ID=mint\nID_LIKE='x'\nID_LIKE=\"ubuntu debian\"\n"}}, "ok"),
    ],
)
def test_platform(tmp_path: Path, changes: dict[str, Any], status: str) -> None:
    assert host.platform(make_context(tmp_path, **changes)).status == status


def test_root_may_do_everything(tmp_path: Path) -> None:
    assert host.rights(make_context(tmp_path)).status == "ok"


def test_somebody_whom_the_engine_lets_in_needs_no_root(tmp_path: Path) -> None:
    assert host.rights(make_context(tmp_path, uid=1000)).status == "ok"


def test_somebody_whom_the_engine_refuses_is_told_of_the_group(tmp_path: Path) -> None:
    check = host.rights(make_context(tmp_path, uid=1000, run=programs(**DOWN)))
    assert check.status == "fail"
    assert "usermod -aG docker" in check.fix


def test_a_withheld_capability_is_told(tmp_path: Path) -> None:
    there = host.capabilities(make_context(tmp_path))
    withheld = make_context(tmp_path, files={"proc/self/status": "CapBnd:\t000001fffeffffff\n"})
    assert "withholds" not in there.found
    assert "withholds CAP_SYS_RESOURCE" in host.capabilities(withheld).found


def test_cgroups_of_version_two_need_their_controllers(tmp_path: Path) -> None:
    assert host.cgroups(make_context(tmp_path)).found == "v2"
    files = {"sys/fs/cgroup/cgroup.controllers": "cpu io\n"}
    check = host.cgroups(make_context(tmp_path, files=files))
    assert (check.status, check.found) == ("fail", "v2 without memory, pids")


def test_cgroups_of_version_one_are_accepted_and_said(tmp_path: Path) -> None:
    rows = "".join(f"{name}\t1\t2\t1\n" for name in ("memory", "cpu", "pids"))
    files = {"sys/fs/cgroup/cgroup.controllers": None, "proc/cgroups": f"#a\tb\tc\td\n{rows}"}
    check = host.cgroups(make_context(tmp_path, files=files))
    assert check.status == "ok"
    assert check.found.startswith("v1: the kubelet")


@pytest.mark.parametrize(
    ("instances", "watches", "status", "fix"),
    [
        (1024, 1048576, "ok", ""),
        (128, 1048576, "warn", "fs.inotify.max_user_instances=512"),
        (512, 8192, "warn", "fs.inotify.max_user_watches=524288"),
        (127, 1048576, "fail", "fs.inotify.max_user_instances=512"),
    ],
)
def test_inotify(tmp_path: Path, instances: int, watches: int, status: str, fix: str) -> None:
    folder = "proc/sys/fs/inotify"
    files = {f"{folder}/max_user_instances": f"{instances}\n",
             f"{folder}/max_user_watches": f"{watches}\n"}  # fmt: skip
    check = host.inotify(make_context(tmp_path, files=files))
    assert check.status == status
    assert check.fix.endswith(fix)


@pytest.mark.parametrize(("gib", "status"), [(3.9, "fail"), (4, "warn"), (5.9, "warn"), (6, "ok")])
def test_memory(tmp_path: Path, gib: float, status: str) -> None:
    files = {MEMORY: f"MemAvailable: {int(gib * GIB / 1024)} kB\n"}
    assert host.memory(make_context(tmp_path, files=files)).status == status


def test_memory_that_our_cluster_holds_is_not_missing(tmp_path: Path) -> None:
    files = {MEMORY: "MemAvailable: 1000000 kB\n"}
    assert host.memory(make_context(tmp_path, files=files, facts=known())).status == "ok"


def test_a_limit_of_the_control_group_counts_as_memory(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/memory.max": f"{2 * GIB}\n"}
    assert host.memory(make_context(tmp_path, files=files)).status == "fail"


@pytest.mark.parametrize(
    ("supply", "gib", "status"),
    [
        ("packages", 26, "ok"),
        ("packages", 24, "warn"),
        ("packages", 11, "fail"),
        ("registry", 11, "ok"),
        ("registry", 9, "warn"),
        ("registry", 4, "fail"),
        ("auto", 11, "warn"),
        ("auto", 4, "fail"),
    ],
)
def test_disk_before_anything_is_built(tmp_path: Path, supply: str, gib: int, status: str) -> None:
    context = make_context(
        tmp_path, variables={"images_supply": supply}, free=lambda _: (1, gib * GIB, 9)
    )
    assert disk.disk(context).status == status


def test_disk_with_a_warm_cache_needs_less(tmp_path: Path) -> None:
    (tmp_path / "cache/store/node-1").mkdir(parents=True)
    variables = {"images_supply": "packages"}
    context = make_context(tmp_path, variables=variables, free=lambda _: (1, 6 * GIB, 9))
    assert disk.disk(context).status == "ok"
    full = make_context(tmp_path, variables=variables, free=lambda _: (1, GIB // 2, 9))
    assert disk.disk(full).status == "fail"


def test_a_full_disk_of_the_engine_fails_though_the_cache_has_room(tmp_path: Path) -> None:
    info = programs(docker_info=json.dumps({**INFO, "DockerRootDir": "/engine"}))
    context = make_context(
        tmp_path,
        run=info,
        free=lambda path: (2, 0, 9) if path == Path("/engine") else (1, 90 * GIB, 9),
    )
    assert disk.disk(context).status == "fail"


def test_a_disk_without_inodes_fails(tmp_path: Path) -> None:
    context = make_context(tmp_path, free=lambda _: (1, 90 * GIB, 0))
    assert disk.disk(context).status == "fail"
