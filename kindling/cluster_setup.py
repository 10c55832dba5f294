"""Deciding what a cluster needs: nothing, a start, a fresh one, or a person."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kindling import cluster, engine_setup, paths, progress, retry
from kindling import engine as engines
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl
from kindling.supply.containers import Engine, save
from kindling.supply.modes import is_loopback

# kind gives a node 30 s to boot, and a port that was free may be taken by then. kubeadm has waited
# for long where it fails.
_KIND = retry.Policy(
    retry.ENGINE.transient,
    re.compile(f"{retry.ENGINE.permanent.pattern}|with kubeadm|did not get there", re.IGNORECASE),
    pauses=(2, 10),
)


@dataclass(frozen=True)
class Wanted:
    """A cluster as the inventory describes it."""

    name: str
    node_image: str
    pools: Sequence[Mapping[str, Any]]
    ports: Mapping[str, int]
    tools: Mapping[str, str]
    about: Mapping[str, Any]
    mirror: str = ""
    autoscaler_period: str = ""


def present(engine: Engine, wanted: Wanted, *, check: bool) -> dict[str, Any]:
    """Make sure that the cluster runs. The result is that of the action ``kind_cluster``.

    Raises KindlingError when a cluster of that name is not ours, is in another engine, or was made
    from other pools, ports, GPUs or period of autoscaling.
    """
    name = wanted.name
    found, known = cluster.nodes(engine, name), cluster.facts(name)
    if found and known is None:
        raise KindlingError(
            f"a kind cluster named {name} is there that Kindling did not make",
            next_step=f"kind delete cluster --name {name}, or set cluster_name in the inventory",
        )
    if known:
        _refuse_other_engine(engine, known)
    if known and known["complete"] and found:
        _refuse_changed(wanted, known, found)
        started = _bring_back(engine, found, check=check)
        if check and started:
            return {"changed": True, "facts": {}, "notes": []}
        # Nodes that were just restarted run before their API server does.
        cluster.wait_for_api(kubectl(known).api())
        return {
            "changed": started,
            "facts": _refreshed(wanted, known, check=check),
            "notes": _newer_image(wanted, known),
        }
    if check:
        return {"changed": True, "facts": {}, "notes": []}
    if found:
        with progress.step("remove the cluster that an interrupted run left"):
            cluster.delete(engine, name)
    return retry.call(lambda: _create(engine, wanted), _KIND)


def absent(name: str, *, check: bool) -> dict[str, Any]:
    """Remove our cluster and what is recorded of it; somebody else's of the same name stays.

    Raises KindlingError when the engine that holds it does not answer and is not ours to start.
    """
    known = cluster.facts(name)
    if known is None:
        return {"changed": False}
    if check:
        return {"changed": True}
    engine = _engine_of(known)
    with progress.step(f"remove {len(cluster.nodes(engine, name))} nodes"):
        cluster.delete(engine, name)
    if known["own_network"]:
        cluster.remove_network(engine)
    remove_state(name)
    return {"changed": True}


def _engine_of(known: Mapping[str, Any]) -> Engine:
    recorded = known["engine"]
    docker, host = Path(recorded["docker"]), str(recorded["host"])
    if engines.answers(docker, host):
        return Engine(docker, host)
    if not recorded["owned"]:
        raise KindlingError(
            f"the container engine at {host}, which holds the cluster, does not answer",
            next_step="start Docker, then run the same command again",
        )
    # After a reboot our engine is down, but its containers are still on disk.
    found = engine_setup.present(recorded["source"], check=False)
    return Engine(Path(found["docker"]), found["host"])


def remove_state(name: str) -> None:
    """Remove what is recorded of the cluster ``name``."""
    folder, record = paths.state_dir(name), cluster.facts_file(name)
    for entry in folder.glob("*"):
        # The record last: without it nobody would look for the rest.
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry != record:
            entry.unlink()
    record.unlink(missing_ok=True)
    if folder.exists():
        folder.rmdir()


def import_images(engine: Engine, name: str, refs: Sequence[str], *, check: bool) -> list[str]:
    """Bring images to the nodes that lack them; returns ``NODE REF`` for each brought."""
    workers = [node.name for node in cluster.nodes(engine, name)]
    with ThreadPoolExecutor() as pool:
        held = list(pool.map(lambda node: _held(engine, node), workers))
    missing = {
        node: [ref for ref in refs if ref not in has]
        for node, has in zip(workers, held, strict=True)
    }
    missing = {node: absent_refs for node, absent_refs in missing.items() if absent_refs}
    if not missing or check:
        return [f"{node} {ref}" for node, absent_refs in missing.items() for ref in absent_refs]
    paths.work_dir().mkdir(parents=True, exist_ok=True)
    union = sorted({ref for absent_refs in missing.values() for ref in absent_refs})
    with tempfile.TemporaryDirectory(dir=paths.work_dir()) as scratch:
        archive = Path(scratch) / "images.tar"
        with progress.step(f"save {len(union)} images for the nodes"):
            save(engine, archive, {ref: ref for ref in union})
        with progress.step(f"import them into {len(missing)} nodes"), ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: _import(engine, node, archive), missing))
    return [f"{node} {ref}" for node, absent_refs in missing.items() for ref in absent_refs]


def _held(engine: Engine, node: str, seconds: float = 300) -> set[str]:
    """The images on ``node``, as soon as its containerd answers: a worker may be up after the API.

    Raises KindlingError with containerd's words at the bound.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            listed = engine.run(
                "exec", node, "ctr", "--namespace=k8s.io", "images", "list", "--quiet"
            )
        except KindlingError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return set(listed.split())


def _import(engine: Engine, node: str, archive: Path) -> None:
    engine.run("cp", archive, f"{node}:/kindling-images.tar", again=retry.ENGINE)
    engine.run(
        "exec", node, "ctr", "--namespace=k8s.io", "images", "import", "--digests",
        "--label=io.cri-containerd.pinned=pinned", "/kindling-images.tar",
        what=f"importing images into {node}", again=retry.ENGINE,
    )  # fmt: skip
    engine.run("exec", node, "rm", "/kindling-images.tar")


def _refuse_other_engine(engine: Engine, known: Mapping[str, Any]) -> None:
    host = known["engine"]["host"]
    if host != engine.host and engines.answers(Path(known["engine"]["docker"]), host):
        raise KindlingError(
            f"the cluster {known['name']} is in the engine at {host}, not in that at {engine.host}",
            next_step=f"DOCKER_HOST={host} nox -s cluster-up, or nox -s cluster-down",
        )


def _refuse_changed(
    wanted: Wanted, known: Mapping[str, Any], found: Sequence[cluster.Node]
) -> None:
    again = "nox -s cluster-down, then nox -s cluster-up"
    for what, now, then in (
        ("node pools are", list(wanted.pools), known["node_pools"]),
        ("ports are", dict(wanted.ports), known["wanted_ports"]),
        ("gpu_mode is", wanted.about["gpu_mode"], known["gpu_mode"]),
        (
            "cluster_autoscaler_period is",
            wanted.autoscaler_period,
            known.get("autoscaler_period", ""),
        ),
    ):
        if now != then:
            raise KindlingError(
                f"the inventory's {what} not what the cluster {wanted.name} was made with",
                next_step=again,
            )
    expected = sum(pool.get("count", 1) for pool in wanted.pools)
    if len(found) != expected:
        raise KindlingError(
            f"the cluster {wanted.name} has {len(found)} of its {expected} nodes: somebody removed "
            "the others",
            next_step=again,
        )


def _refreshed(wanted: Wanted, known: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """The record, with tools and engine as they are now: caches may have been made anew."""
    fresh = {**known, "tools": dict(wanted.tools), "engine": wanted.about["engine"]}
    if not check and fresh != known:
        cluster.record(wanted.name, fresh)
    return known if check else fresh


def _newer_image(wanted: Wanted, known: Mapping[str, Any]) -> list[str]:
    if wanted.node_image == known["node_image"]:
        return []
    return [
        f"the nodes stay on {known['node_image']}; nox -s cluster-down, then nox -s cluster-up "
        f"takes {wanted.node_image}"
    ]


def _bring_back(engine: Engine, found: Sequence[cluster.Node], *, check: bool) -> bool:
    if all(node.running for node in found):
        return False
    if not check:
        with progress.step("start the nodes"):
            cluster.start(engine, found)
    return True


def _create(engine: Engine, wanted: Wanted) -> dict[str, Any]:
    name, notes, ports = wanted.name, [], dict[str, int]()
    # What a kind that failed could not remove.
    cluster.delete(engine, name)
    for service, port in wanted.ports.items():
        ports[service] = cluster.free_port(port, list(ports.values()))
        if ports[service] != port:
            notes.append(f"port {port} is in use: {service} answers on {ports[service]}")
    interrupted = cluster.facts(name) or {}
    own_network = interrupted.get("own_network", not cluster.has_network(engine))
    known: dict[str, Any] = {
        "name": name,
        "context": cluster.context(name),
        "kubeconfig": str(paths.state_dir(name) / "kubeconfig"),
        "node_image": wanted.node_image,
        "node_pools": list(wanted.pools),
        "ports": ports,
        "wanted_ports": dict(wanted.ports),
        "autoscaler_period": wanted.autoscaler_period,
        "own_network": own_network,
        "tools": dict(wanted.tools),
        **wanted.about,
    }
    # Recorded before the first container: what a killed run leaves is known to be ours.
    cluster.record(name, {**known, "complete": False})
    registry_hosts = None
    if is_loopback(wanted.mirror):
        notes.append(
            f"the mirror {wanted.mirror} is on this host's loopback: nodes get what Kindling "
            "needs, but cannot pull through it"
        )
    elif wanted.mirror:
        registry_hosts = cluster.write_mirror(name, wanted.mirror)
    config = cluster.kind_config(
        wanted.pools,
        ports,
        cgroup_v1=cluster.needs_cgroup_v1_patch(engine),
        withheld_capabilities=cluster.withheld_capabilities(),
        simulate_gpus=wanted.about["gpu_mode"] == "simulated",
        registry_hosts=registry_hosts,
        autoscaler_period=wanted.autoscaler_period,
    )
    for left in ("kind.kubeconfig", "kind.kubeconfig.lock"):
        (paths.state_dir(name) / left).unlink(missing_ok=True)
    with progress.step("kind: control plane", wanted.node_image):
        pid = cluster.begin(engine, Path(wanted.tools["kind"]), name, wanted.node_image, config)
        cluster.record(name, {**known, "complete": False, "kind_pid": pid})
        cluster.wait_for_kind(name, pid, lambda: cluster.takes_releases(engine, name))
    return {"changed": True, "facts": {**known, "complete": False}, "notes": notes}


def joined(name: str, *, check: bool) -> dict[str, Any]:
    """Wait until all nodes have joined, and record that the cluster is whole."""
    known = cluster.facts(name)
    if known is None or known["complete"] or check:
        return {"changed": False}
    with progress.step("kind: workers join"):
        cluster.wait_for_kind(name, known.pop("kind_pid"), lambda: cluster.finished(name))
    known["complete"] = True
    cluster.record(name, known)
    return {"changed": True}


def kubectl(known: Mapping[str, Any]) -> Kubectl:
    """Kubectl for the cluster that ``cluster.json`` describes."""
    return Kubectl(
        Path(known["tools"]["kubectl"]), Path(known["kubeconfig"]), str(known["context"])
    )
