"""The kind cluster: made, brought back after a stop, or refused when it is not ours."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kindling import engine as engines
from kindling import paths, retry
from kindling.api import Api, ApiError
from kindling.errors import KindlingError
from kindling.processes import alive
from kindling.supply.containers import Engine

_LABEL = "io.x-k8s.kind.cluster"
_NODE_PORTS = {
    "serving": 30080,
    "mlflow": 30500,
    "prometheus": 30900,
    "alertmanager": 30930,
    "dashboards": 30300,
}
_PORT_TRIES = 50
_CONTROL_PLANE = "✓ Starting control-plane"
# A leader that cannot renew its lease for ten seconds exits, and there is no other to take over.
_NO_ELECTION = {"leader-elect": "false"}
# kubeadm's own bounds are those of a quiet machine: one to five minutes. On one core beside other
# work they end what would come.
_KUBEADM_TIMEOUTS = {
    "controlPlaneComponentHealthCheck": "15m0s",
    "kubeletHealthCheck": "15m0s",
    "kubernetesAPICall": "10m0s",
    "etcdAPICall": "10m0s",
    "tlsBootstrap": "15m0s",
    "discovery": "15m0s",
}


@dataclass(frozen=True)
class Node:
    """A node's container."""

    name: str
    running: bool


def context(name: str) -> str:
    """The kubeconfig context that kind gives to the cluster ``name``."""
    return f"kind-{name}"


def facts_file(name: str) -> Path:
    """``cluster.json``: what the cluster was made of, and whether it is complete."""
    return paths.state_dir(name) / "cluster.json"


def facts(name: str) -> dict[str, Any] | None:
    """What is recorded of our cluster ``name``, or None."""
    try:
        known: dict[str, Any] = json.loads(facts_file(name).read_text())
    except (OSError, ValueError):
        return None
    return known


def known(name: str) -> dict[str, Any]:
    """What is recorded of our cluster ``name``. Raises KindlingError where there is none."""
    found = facts(name)
    if found is None:
        raise KindlingError(f"there is no cluster {name} of ours", next_step="nox -s cluster-up")
    return found


def record(name: str, known: Mapping[str, Any]) -> None:
    """Write ``cluster.json`` so that a reader sees the old or the new one, never half of it."""
    file = facts_file(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(known, indent=2) + "\n")
    new.replace(file)


def nodes(engine: Engine, name: str) -> list[Node]:
    """The node containers of the cluster ``name``, whoever made it."""
    listed = engine.run(
        "ps", "--all", f"--filter=label={_LABEL}={name}", "--format={{.Names}} {{.State}}"
    )
    pairs = (line.split() for line in listed.splitlines())
    return [Node(node, state == "running") for node, state in sorted(pairs)]


def free_port(wanted: int, taken: Sequence[int] = ()) -> int:
    """``wanted``, or the next port of 127.0.0.1 that is free and not among ``taken``.

    Raises KindlingError when fifty ports in a row are in use.
    """
    for port in range(wanted, min(wanted + _PORT_TRIES, 65536)):
        if port in taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise KindlingError(
        f"no free port on 127.0.0.1 from {wanted} to {wanted + _PORT_TRIES - 1}",
        next_step="set cluster_ports in the inventory to a free one",
    )


def kind_config(
    pools: Sequence[Mapping[str, Any]],
    ports: Mapping[str, int],
    *,
    cgroup_v1: bool,
    withheld_capabilities: bool,
    simulate_gpus: bool = False,
    registry_hosts: Path | None = None,
    autoscaler_period: str = "",
) -> str:
    """Kind's configuration as YAML; patches for slow machines, and for traits of this one.

    ``registry_hosts`` is a folder that tells containerd where to pull from; see ``write_mirror``.
    ``autoscaler_period`` is the time between two looks of a HorizontalPodAutoscaler at its metrics;
    empty means Kubernetes' own.
    """
    kubelet: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
    }
    config: dict[str, Any] = {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4"}
    if cgroup_v1:
        # From 1.35 on the kubelet refuses to start on cgroup v1 unless told otherwise.
        kubelet["failCgroupV1"] = False
    if withheld_capabilities:
        # Without CAP_SYS_RESOURCE nobody may lower oom_score_adj, which both otherwise do.
        kubelet["featureGates"] = {"KubeletInUserNamespace": True}
        config["containerdConfigPatches"] = [
            '[plugins."io.containerd.grpc.v1.cri"]\n  restrict_oom_score_adj = true\n'
        ]
    if simulate_gpus and any(pool.get("gpus") for pool in pools):
        # What a plugin registers shows with the node's next status: in two seconds, not ten.
        kubelet["nodeStatusUpdateFrequency"] = "2s"
    patches = [kubelet] if len(kubelet) > 2 else []
    controllers = {**_NO_ELECTION}
    if autoscaler_period:
        controllers["horizontal-pod-autoscaler-sync-period"] = autoscaler_period
    patches.append(
        {
            # Without an apiVersion kind adds the flags to its own, whatever kubeadm's version.
            "kind": "ClusterConfiguration",
            "controllerManager": {"extraArgs": controllers},
            "scheduler": {"extraArgs": _NO_ELECTION},
        }
    )
    for kind in ("InitConfiguration", "JoinConfiguration"):
        patches.append(
            {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": kind, "timeouts": _KUBEADM_TIMEOUTS}
        )
    config["kubeadmConfigPatches"] = [yaml.safe_dump(patch, sort_keys=False) for patch in patches]
    mappings = [
        {
            "containerPort": _NODE_PORTS[service],
            "hostPort": port,
            "listenAddress": "127.0.0.1",
            "protocol": "TCP",
        }
        for service, port in ports.items()
    ]
    config["nodes"] = []
    for pool in pools:
        labels = {"kindling.dev/pool": pool["name"], **pool.get("labels", {})}
        if simulate_gpus and pool.get("gpus"):
            labels |= {
                "kindling.dev/gpu": "simulated",
                "kindling.dev/gpu-count": str(pool["gpus"]),
            }
        for _ in range(pool.get("count", 1)):
            node: dict[str, Any] = {"role": pool["role"], "labels": labels}
            if registry_hosts:
                node["extraMounts"] = [
                    {
                        "hostPath": str(registry_hosts),
                        "containerPath": "/etc/containerd/certs.d",
                        "readOnly": True,
                    }
                ]
            if pool["role"] == "control-plane" and mappings:
                node["extraPortMappings"], mappings = mappings, []
            config["nodes"].append(node)
    return yaml.safe_dump(config, sort_keys=False)


def write_mirror(name: str, mirror: str) -> Path:
    """Make containerd on the nodes ask ``mirror`` (host and port) first, whatever the registry.

    Returns the folder for ``kind_config``. A company's authority goes along where the environment
    names one.
    """
    folder = paths.state_dir(name) / "certs.d"
    every = folder / "_default"
    every.mkdir(parents=True, exist_ok=True)
    lines = [f'[host."https://{mirror}"]', '  capabilities = ["pull", "resolve"]']
    if bundle := paths.ca_bundle():
        shutil.copyfile(bundle, every / "ca.crt")
        lines.append('  ca = "/etc/containerd/certs.d/_default/ca.crt"')
    (every / "hosts.toml").write_text("\n".join(lines) + "\n")
    return folder


def needs_cgroup_v1_patch(engine: Engine) -> bool:
    """Whether the engine runs containers on cgroup v1."""
    return engine.run("info", "--format={{.CgroupVersion}}").strip() == "1"


def begin(engine: Engine, kind: Path, name: str, image: str, config: str) -> int:
    """Start ``kind create cluster`` and return its pid; ``joined`` waits for its end."""
    folder = paths.state_dir(name)
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "kind.yaml"
    source.write_text(config)
    with (folder / "kind.log").open("wb") as log:
        process = subprocess.Popen(
            [kind, "create", "cluster", f"--name={name}", f"--image={image}",
             f"--kubeconfig={folder / 'kind.kubeconfig'}", f"--config={source}"],
            env={**os.environ, **engine.env}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    threading.Thread(target=process.wait, daemon=True).start()
    return process.pid


def takes_releases(engine: Engine, name: str) -> bool:
    """Whether kind has started the control plane; the cluster's kubeconfig is there by then.

    kind's words tell, which costs nothing: asking the node again and again would take half a core
    from what is waited for. Other words only mean that it is noticed at kind's end.
    """
    said = (paths.state_dir(name) / "kind.log").read_text(errors="replace")
    return (_CONTROL_PLANE in said or finished(name)) and early_kubeconfig(engine, name) is not None


def early_kubeconfig(engine: Engine, name: str) -> Path | None:
    """The kubeconfig as soon as the control plane has one, which is before workers join."""
    node = f"{name}-control-plane"
    try:
        admin = yaml.safe_load(engine.run("exec", node, "cat", "/etc/kubernetes/admin.conf"))
        port = engine.run("port", node, "6443/tcp").split()[0]
        user = admin["users"][0]["user"]
        admin["clusters"][0]["cluster"]["server"] = f"https://{port}"
        authority = admin["clusters"][0]["cluster"]
    except (KindlingError, yaml.YAMLError, LookupError, TypeError):
        return None
    entry = context(name)
    file = paths.state_dir(name) / "kubeconfig"
    file.touch(mode=0o600)
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": entry,
                "clusters": [{"name": entry, "cluster": authority}],
                "users": [{"name": entry, "user": user}],
                "contexts": [{"name": entry, "context": {"cluster": entry, "user": entry}}],
            }
        )
    )
    return file


def wait_for_kind(name: str, pid: int, until: Callable[[], bool], seconds: float = 2400) -> None:
    """Wait until ``until`` answers true.

    Raises KindlingError with kind's last words when kind ended without it, or at the bound.
    """
    deadline = time.monotonic() + seconds
    while not until():
        # A finished kind has done all that is waited for: what looks for it was not answered yet.
        ended = not alive(pid) and not finished(name)
        if ended or time.monotonic() > deadline:
            how = "failed" if ended else f"did not get there in {seconds:g} s"
            raise KindlingError(
                f"kind create cluster {how}:\n  {_words_of_kind(name)}",
                next_step="nox -s doctor, then nox -s cluster-up",
            )
        time.sleep(0.2)


def _words_of_kind(name: str) -> str:
    """The line that says what failed, and the last ones, which say why."""
    lines = (paths.state_dir(name) / "kind.log").read_text(errors="replace").strip().splitlines()
    errors = [line for line in lines[:-16] if line.startswith("ERROR: ")]
    return "\n  ".join([*errors, *lines[-16:]])


def finished(name: str) -> bool:
    """Whether kind has done all it does: writing its kubeconfig comes last."""
    return (paths.state_dir(name) / "kind.kubeconfig").exists()


def delete(engine: Engine, name: str) -> bool:
    """Remove the node containers and their volumes; whether any was there."""
    found = [node.name for node in nodes(engine, name)]
    if found:
        engine.run("rm", "--force", "--volumes", *found, again=retry.ENGINE)
    return bool(found)


def has_network(engine: Engine) -> bool:
    """Whether a network named kind is there, whoever made it."""
    return bool(engine.run("network", "ls", "--quiet", "--filter=name=^kind$").strip())


def remove_network(engine: Engine) -> bool:
    """Remove kind's network unless some container still uses it; whether it was removed."""
    if not has_network(engine):
        return False
    if engine.run("ps", "--all", "--quiet", "--filter=network=kind").split():
        return False
    # The last endpoint goes a moment after its container.
    engine.run("network", "rm", "kind", again=retry.ENGINE)
    return True


def start(engine: Engine, found: Sequence[Node]) -> None:
    """Start stopped nodes, control planes first so that workers find what they ask for."""
    stopped = [node.name for node in found if not node.running]
    for name in sorted(stopped, key=lambda name: "control-plane" not in name):
        engine.run("start", name)


def wait_for_api(api: Api, seconds: float = 600) -> None:
    """Wait until the API server says it is ready. Raises KindlingError at the bound."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            api.read("/readyz", timeout=10)
            return
        except ApiError as error:
            if time.monotonic() > deadline:
                raise KindlingError(
                    f"not ready after {seconds:g} s: {error.message[-300:]}",
                    next_step="nox -s cluster-down, then nox -s cluster-up",
                ) from None
        time.sleep(0.5)


def withheld_capabilities() -> bool:
    """Whether the machine withholds CAP_SYS_RESOURCE (24) from containers."""
    return 24 in engines.missing_capabilities()
