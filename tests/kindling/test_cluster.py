"""kind's configuration, ports, and what is recorded of a cluster."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from kindling import cluster, cluster_setup, engine, engine_setup, paths
from kindling.errors import KindlingError
from kindling.supply import command
from kindling.supply.containers import Engine

POOLS: list[dict[str, Any]] = [
    {"name": "control-plane", "role": "control-plane"},
    {"name": "cpu", "role": "worker", "count": 2},
    {"name": "gpu", "role": "worker", "gpus": 4, "labels": {"zone": "a"}},
]


def config(**traits: Any) -> dict[str, Any]:
    given = {"cgroup_v1": False, "withheld_capabilities": False, **traits}
    loaded: dict[str, Any] = yaml.safe_load(cluster.kind_config(POOLS, {"serving": 9000}, **given))
    return loaded


def test_a_machine_without_traits_gets_what_a_slow_one_needs_and_no_other_patch() -> None:
    plain = config()
    flags, *waits = [yaml.safe_load(patch) for patch in plain["kubeadmConfigPatches"]]
    alone = {"extraArgs": {"leader-elect": "false"}}
    assert flags == {"kind": "ClusterConfiguration", "controllerManager": alone, "scheduler": alone}
    assert [patch["kind"] for patch in waits] == ["InitConfiguration", "JoinConfiguration"]
    for patch in waits:
        # Another version of kubeadm's would not know the key.
        assert patch["apiVersion"] == "kubeadm.k8s.io/v1beta4"
        assert patch["timeouts"]["kubeletHealthCheck"] == "15m0s"
        assert patch.keys() == {"apiVersion", "kind", "timeouts"}
    assert "containerdConfigPatches" not in plain


def test_each_trait_gets_its_own_patch_and_no_other() -> None:
    v1 = config(cgroup_v1=True)
    assert yaml.safe_load(v1["kubeadmConfigPatches"][0])["failCgroupV1"] is False
    assert "featureGates" not in yaml.safe_load(v1["kubeadmConfigPatches"][0])
    assert "containerdConfigPatches" not in v1
    withheld = config(withheld_capabilities=True)
    kubelet = yaml.safe_load(withheld["kubeadmConfigPatches"][0])
    assert kubelet["featureGates"] == {"KubeletInUserNamespace": True}
    assert "failCgroupV1" not in kubelet
    assert "restrict_oom_score_adj = true" in withheld["containerdConfigPatches"][0]


def test_only_nodes_with_gpus_tell_of_themselves_more_often() -> None:
    with_gpus = config(simulate_gpus=True)["kubeadmConfigPatches"][0]
    assert yaml.safe_load(with_gpus)["nodeStatusUpdateFrequency"] == "2s"
    without = cluster.kind_config(
        POOLS[:2], {}, cgroup_v1=False, withheld_capabilities=False, simulate_gpus=True
    )
    assert "nodeStatusUpdateFrequency" not in without


def test_only_a_period_that_is_asked_for_becomes_a_flag_of_the_autoscaler() -> None:
    flag = "horizontal-pod-autoscaler-sync-period"
    kubelet, controllers, *_ = map(
        yaml.safe_load, config(cgroup_v1=True, autoscaler_period="5s")["kubeadmConfigPatches"]
    )
    assert kubelet["kind"] == "KubeletConfiguration"
    assert controllers["controllerManager"]["extraArgs"][flag] == "5s"
    assert flag not in str(config(cgroup_v1=True))


def test_pools_become_nodes_and_only_simulated_gpus_get_labels() -> None:
    nodes = config(simulate_gpus=True)["nodes"]
    assert [node["role"] for node in nodes] == ["control-plane", "worker", "worker", "worker"]
    assert nodes[1]["labels"] == {"kindling.dev/pool": "cpu"}
    assert nodes[3]["labels"]["kindling.dev/gpu-count"] == "4"
    assert nodes[3]["labels"]["zone"] == "a"
    assert "kindling.dev/gpu" not in config()["nodes"][3]["labels"]


def test_ports_bind_to_loopback_on_the_first_control_plane_only() -> None:
    nodes = config()["nodes"]
    (mapping,) = nodes[0]["extraPortMappings"]
    assert mapping["listenAddress"] == "127.0.0.1"
    assert mapping["hostPort"] == 9000
    assert all("extraPortMappings" not in node for node in nodes[1:])


def test_nodes_pull_every_registry_through_the_mirror_with_the_companys_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("a certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    folder = cluster.write_mirror("c", "mirror.corp:5000")
    hosts = tomllib.loads((folder / "_default" / "hosts.toml").read_text())["host"]
    assert hosts == {
        "https://mirror.corp:5000": {
            "capabilities": ["pull", "resolve"],
            "ca": "/etc/containerd/certs.d/_default/ca.crt",
        }
    }
    assert (folder / "_default" / "ca.crt").read_text() == "a certificate"
    nodes = yaml.safe_load(
        cluster.kind_config(
            POOLS, {}, cgroup_v1=False, withheld_capabilities=False, registry_hosts=folder
        )
    )["nodes"]
    mounts = [node["extraMounts"] for node in nodes]
    assert all(mount[0]["hostPath"] == str(folder) and mount[0]["readOnly"] for mount in mounts)
    assert "extraMounts" not in config()["nodes"][0]


def test_a_port_in_use_gives_way_to_the_next() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        taken = held.getsockname()[1]
        assert cluster.free_port(taken) > taken
    assert cluster.free_port(taken, [taken]) != taken


@pytest.mark.parametrize(
    ("said", "ended", "takes"),
    [
        (" • Starting control-plane 🕹️  ...\n", False, False),
        (" • Starting control-plane 🕹️  ...\n ✓ Starting control-plane 🕹️\n", False, True),
        ("other words\n", False, False),
        ("other words\n", True, True),
    ],
)
def test_releases_are_taken_once_kind_says_so_and_at_its_end_whatever_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, ended: bool, takes: bool
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(cluster, "early_kubeconfig", lambda *_: tmp_path)
    cluster.record("c", {})
    (paths.state_dir("c") / "kind.log").write_text(said)
    if ended:
        (paths.state_dir("c") / "kind.kubeconfig").touch()
    assert cluster.takes_releases(Engine(Path("docker"), ""), "c") is takes


def test_facts_of_no_cluster_and_of_a_broken_file_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert cluster.facts("c") is None
    cluster.record("c", {"complete": True})
    assert cluster.facts("c") == {"complete": True}
    cluster.facts_file("c").write_text("{")
    assert cluster.facts("c") is None


def test_withheld_capabilities_are_read_from_the_bounding_set(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tx\nCapBnd:\t000001fffeffffff\n")
    assert 24 in engine.missing_capabilities(status)
    status.write_text("Name:\tx\nCapBnd:\tffffffffffffffff\n")
    assert engine.missing_capabilities(status) == []


def wanted(**others: Any) -> cluster_setup.Wanted:
    given = {"pools": POOLS, "ports": {"serving": 8080}, "about": {"gpu_mode": "simulated"}}
    return cluster_setup.Wanted("c", "image", tools={}, **{**given, **others})


def whole(monkeypatch: pytest.MonkeyPatch, nodes: int = 4, host: str = "unix:///a") -> Engine:
    """A complete cluster of ours in the engine at ``host``; returns the engine at unix:///a."""
    found = [cluster.Node(f"c-{number}", True) for number in range(nodes)]
    known = {
        "name": "c", "complete": True, "node_pools": POOLS, "wanted_ports": {"serving": 8080},
        "gpu_mode": "simulated", "engine": {"docker": "docker", "host": host},
    }  # fmt: skip
    monkeypatch.setattr(cluster, "nodes", lambda *_: found)
    monkeypatch.setattr(cluster, "facts", lambda _: known)
    monkeypatch.setattr(engine, "answers", lambda *_: True)
    return Engine(Path("docker"), "unix:///a")


def test_a_cluster_that_somebody_else_made_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = whole(monkeypatch)
    monkeypatch.setattr(cluster, "facts", lambda _: None)
    with pytest.raises(KindlingError, match="did not make"):
        cluster_setup.present(found, wanted(), check=False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pools": POOLS[:1]}, "node pools are not"),
        ({"ports": {"serving": 9090}}, "ports are not"),
        ({"about": {"gpu_mode": "none"}}, "gpu_mode is not"),
        ({"autoscaler_period": "5s"}, "cluster_autoscaler_period is not"),
    ],
)
def test_what_only_a_new_cluster_can_have_is_refused(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str
) -> None:
    found = whole(monkeypatch)
    with pytest.raises(KindlingError, match=said) as failure:
        cluster_setup.present(found, wanted(**change), check=False)
    assert failure.value.next_step == "nox -s cluster-down, then nox -s cluster-up"


def test_a_node_that_somebody_removed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = whole(monkeypatch, nodes=3)
    with pytest.raises(KindlingError, match="3 of its 4 nodes"):
        cluster_setup.present(found, wanted(), check=False)


def test_a_cluster_in_another_engine_is_not_made_a_second_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = whole(monkeypatch, host="unix:///b")
    with pytest.raises(KindlingError, match="is in the engine at unix:///b") as failure:
        cluster_setup.present(found, wanted(), check=False)
    assert "DOCKER_HOST=unix:///b" in failure.value.next_step


def test_only_programs_of_an_engine_count_as_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path))
    log = paths.engine_dir() / "dockerd.log"
    log.parent.mkdir()
    log.touch()
    reader = subprocess.Popen(["tail", "-f", log])
    fake = tmp_path / "containerd"
    shutil.copy(shutil.which("tail") or "", fake)
    ours = subprocess.Popen([fake, "-f", log])
    try:
        # The kernel shows a program's words a moment after it has begun.
        for process in (reader, ours):
            words = Path(f"/proc/{process.pid}/cmdline")
            deadline = time.monotonic() + 10
            while not words.read_bytes() and time.monotonic() < deadline:
                time.sleep(0.01)
        assert [pid for pid, _ in engine._processes()] == [ours.pid]
    finally:
        for process in (reader, ours):
            process.kill()
            process.wait()


def test_a_stopped_engine_leaves_no_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a killed dockerd does: it mounts its data on itself."""
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path))
    data = paths.engine_dir() / "data"
    data.mkdir(parents=True)
    if subprocess.run(["mount", "--bind", data, data], capture_output=True).returncode:
        pytest.skip("only root may mount")
    engine.stop()
    assert str(data) not in Path("/proc/self/mountinfo").read_text()


def test_images_in_an_engine_of_the_users_stay_while_another_cluster_needs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    calls: list[tuple[str, ...]] = []

    def run(words: list[Any], **_: object) -> str:
        calls.append(tuple(map(str, words[1:3])))
        return "sha256:1\n"

    monkeypatch.setattr(engine_setup, "_client", lambda **_: (Path("docker"), []))
    monkeypatch.setattr(engine, "answers", lambda *_: True)
    monkeypatch.setattr(command, "run", run)
    cluster.record("other", {"complete": True})
    assert not engine_setup._remove_images()
    assert calls == []
    cluster.facts_file("other").unlink()
    assert engine_setup._remove_images()
    assert calls == [("image", "ls"), ("image", "rm")]


def test_a_node_whose_containerd_is_still_starting_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = whole(monkeypatch, nodes=1)
    refused = KindlingError("ctr: cannot access socket", next_step="nox -s doctor")
    answers = iter([refused, refused, "docker.io/kindling/service:1\n"])

    def run(words: list[Any], **_: object) -> str:
        answer = next(answers)
        if isinstance(answer, KindlingError):
            raise answer
        return answer

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    lacking = cluster_setup.import_images(
        found, "c", ["docker.io/kindling/service:1", "docker.io/kindling/drift:2"], check=True
    )
    assert lacking == ["c-0 docker.io/kindling/drift:2"]
