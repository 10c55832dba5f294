"""kind's configuration, ports, and what is recorded of a cluster."""

from __future__ import annotations

import socket
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from kindling import cluster, engine
from kindling.errors import KindlingError

POOLS: list[dict[str, Any]] = [
    {"name": "control-plane", "role": "control-plane"},
    {"name": "cpu", "role": "worker", "count": 2},
    {"name": "gpu", "role": "worker", "gpus": 4, "labels": {"zone": "a"}},
]


def config(**traits: bool) -> dict[str, Any]:
    given = {"cgroup_v1": False, "withheld_capabilities": False, **traits}
    loaded: dict[str, Any] = yaml.safe_load(cluster.kind_config(POOLS, {"serving": 9000}, **given))
    return loaded


def test_a_machine_without_traits_gets_no_patches() -> None:
    plain = config()
    assert "kubeadmConfigPatches" not in plain
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


def test_a_cluster_that_somebody_else_made_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from kindling import cluster_setup

    monkeypatch.setattr(cluster, "nodes", lambda *_: [cluster.Node("c-control-plane", True)])
    monkeypatch.setattr(cluster, "facts", lambda _: None)
    wanted = cluster_setup.Wanted("c", "image", POOLS, {}, {}, {})
    with pytest.raises(KindlingError, match="did not make"):
        cluster_setup.present(None, wanted, check=False)  # type: ignore[arg-type]


def test_changed_pools_are_refused_before_anything_is_touched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from kindling import cluster_setup

    monkeypatch.setattr(cluster, "nodes", lambda *_: [cluster.Node("c-control-plane", True)])
    monkeypatch.setattr(cluster, "facts", lambda _: {"complete": True, "node_pools": POOLS[:1]})
    wanted = cluster_setup.Wanted("c", "image", POOLS, {}, {}, {})
    with pytest.raises(KindlingError, match="node pools"):
        cluster_setup.present(None, wanted, check=False)  # type: ignore[arg-type]
