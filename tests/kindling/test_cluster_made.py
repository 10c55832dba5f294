"""Making a cluster while the machine, the engine and its nodes are slow."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from scripted import fails, ok, scripted

from kindling import cluster, cluster_setup, paths, retry
from kindling.errors import KindlingError
from kindling.supply.containers import Engine

NO_BOOT = """ • Preparing nodes 📦  ...
 ✗ Preparing nodes 📦
ERROR: failed to create cluster: could not find a log line that matches \
"Reached target .*Multi-User System.*|detected cgroup v1"
"""
TAKEN = """ERROR: failed to create cluster: command docker run failed with error: exit status 125
Command Output: 8f1d
docker: Error response from daemon: driver failed programming external connectivity on endpoint \
c-control-plane: Bind for 127.0.0.1:18080 failed: port is already allocated.
"""
LINES = "\n".join(f"I1129 line {number}" for number in range(30))
KUBEADM = f"""ERROR: failed to create cluster: failed to init node with kubeadm: command failed
Command Output: {LINES}
error: error execution phase wait-control-plane: context deadline exceeded
"""
FULL = "ERROR: failed to create cluster: write /kind/kubeadm.conf: no space left on device\n"
ADMIN = yaml.safe_dump(
    {
        "clusters": [{"name": "c", "cluster": {"server": "https://c-control-plane:6443"}}],
        "users": [{"name": "u", "user": {"client-key-data": "a"}}],
    }
)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def docker(folder: Path, admin: str = "cat %s", nodes: str = "") -> Engine:
    """A Docker client whose nodes have a control plane; ``nodes`` lists those that are there."""
    (folder / "admin.conf").write_text(ADMIN)
    file = folder / "docker"
    file.write_text(
        f"""#!/bin/sh
echo "$@" >>{folder}/docker.calls
case "$1" in
ps) printf '%s' '{nodes}';;
info) echo 2;;
exec) {admin.replace("%s", str(folder / "admin.conf"))};;
port) echo 127.0.0.1:42001;;
esac
"""
    )
    file.chmod(0o755)
    return Engine(file, "unix:///a")


def kind(folder: Path, *failures: str) -> Path:
    """A kind that fails with each of ``failures`` in turn, then makes the cluster."""
    for number, text in enumerate(failures, 1):
        (folder / f"failure-{number}").write_text(text)
    file = folder / "kind"
    file.write_text(
        f"""#!/bin/sh
echo >>{folder}/kind.calls
n=$(wc -l <{folder}/kind.calls)
for word; do case "$word" in
--kubeconfig=*) kubeconfig=${{word#--kubeconfig=}};;
--config=*) cp "${{word#--config=}}" {folder}/config-$n;;
esac; done
if [ -e {folder}/failure-$n ]; then cat {folder}/failure-$n >&2; exit 1; fi
echo ' ✓ Starting control-plane 🕹️'
touch "$kubeconfig"
"""
    )
    file.chmod(0o755)
    return file


def present(engine: Engine, folder: Path, *failures: str, port: int = 18080) -> dict[str, Any]:
    wanted = cluster_setup.Wanted(
        "c",
        "image",
        [{"name": "control-plane", "role": "control-plane"}],
        {"serving": port},
        {"kind": str(kind(folder, *failures))},
        {"gpu_mode": "none"},
    )
    return cluster_setup.present(engine, wanted, check=False)


def tries(folder: Path) -> int:
    return len((folder / "kind.calls").read_text().splitlines())


def test_a_node_that_boots_too_slowly_for_kind_gets_another_try(
    state: Path, pauses: list[float]
) -> None:
    made = present(docker(state), state, NO_BOOT, NO_BOOT)
    assert made["changed"]
    assert tries(state) == 3
    assert pauses == [2, 10]
    assert cluster.known("c")["kind_pid"]
    assert yaml.safe_load(Path(made["facts"]["kubeconfig"]).read_text())["current-context"]


def test_what_a_failed_kind_could_not_remove_is_removed_before_the_next_try(
    state: Path, pauses: list[float]
) -> None:
    engine = docker(state, nodes="c-control-plane running\n")
    cluster.record("c", {"name": "c", "complete": False, "engine": {"host": "unix:///a"}})
    present(engine, state, NO_BOOT)
    removals = (state / "docker.calls").read_text().count("rm --force --volumes c-control-plane")
    assert removals >= 2


def test_a_port_that_was_taken_meanwhile_gives_way_to_the_next(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, other = cluster.free_port(18080), socket.socket()

    def take_the_port(_: float) -> None:
        other.bind(("127.0.0.1", port))
        other.listen()

    monkeypatch.setattr(retry, "time", SimpleNamespace(sleep=take_the_port))
    with other:
        made = present(docker(state), state, TAKEN, port=port)
    assert made["notes"] == [
        f"port {port} is in use: serving answers on {cluster.known('c')['ports']['serving']}"
    ]
    assert f"hostPort: {port}\n" in (state / "config-1").read_text()
    assert f"hostPort: {port}\n" not in (state / "config-2").read_text()


@pytest.mark.parametrize(("failure", "said"), [(KUBEADM, "deadline exceeded"), (FULL, "no space")])
def test_a_cluster_that_cannot_be_made_ends_with_kinds_words(
    state: Path, pauses: list[float], failure: str, said: str
) -> None:
    with pytest.raises(KindlingError) as error:
        present(docker(state), state, failure, failure, failure)
    assert tries(state) == 1
    assert "ERROR: failed to create cluster" in error.value.message
    assert said in error.value.message


def test_a_finished_kind_is_not_taken_for_a_failed_one_while_its_node_does_not_answer(
    state: Path, pauses: list[float]
) -> None:
    slow = f"echo >>{state}/exec.calls; [ $(wc -l <{state}/exec.calls) -gt 8 ] || exit 1; cat %s"
    present(docker(state, admin=slow), state)
    assert tries(state) == 1


def test_workers_that_never_join_end_the_run_at_the_bound(state: Path) -> None:
    cluster.record("c", {})
    (paths.state_dir("c") / "kind.log").write_text("• Joining worker nodes 🚜  ...\n")
    with pytest.raises(KindlingError, match="did not get there in 0 s") as error:
        cluster.wait_for_kind("c", 1, lambda: False, seconds=0)
    assert "Joining worker nodes" in error.value.message


def test_removing_nodes_outlasts_an_engine_that_is_removing_them_already(
    tmp_path: Path, pauses: list[float]
) -> None:
    program = scripted(
        tmp_path,
        "docker",
        ok("c-worker running\n"),
        fails("Error response from daemon: removal of container c-worker is already in progress"),
        ok(),
    )
    assert cluster.delete(Engine(program.path, "unix:///a"), "c")
    assert pauses == [2]


def test_images_are_imported_into_a_node_whose_containerd_has_just_started(
    tmp_path: Path, pauses: list[float]
) -> None:
    program = scripted(
        tmp_path,
        "docker",
        ok(),
        fails('ctr: failed to dial "/run/containerd/containerd.sock": context deadline exceeded'),
        ok(),
        ok(),
    )
    cluster_setup._import(Engine(program.path, "unix:///a"), "c-worker", tmp_path / "images.tar")
    assert [call[0] for call in program.calls] == ["cp", "exec", "exec", "exec"]


def test_images_that_find_no_space_are_imported_once(tmp_path: Path, pauses: list[float]) -> None:
    program = scripted(tmp_path, "docker", ok(), fails("ctr: write: no space left on device"))
    with pytest.raises(KindlingError, match="no space left"):
        cluster_setup._import(Engine(program.path, "unix:///a"), "c-worker", tmp_path / "i.tar")
    assert len(program.calls) == 2
