"""What Ansible's actions of ours do: a function for each, by its name, without Ansible.

Each takes the action's parameters and returns the task's result. With ``check`` it changes nothing,
and ``changed`` tells what it would do. All raise KindlingError for what people can mend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kindling import (
    cluster,
    cluster_secrets,
    cluster_setup,
    engine_setup,
    helm,
    progress,
    workloads,
)
from kindling import sample_models as samples
from kindling.engine import answers
from kindling.kubectl import Kubectl
from kindling.supply import modes
from kindling.supply.containers import Engine
from kindling.supply.versions import load

Params = Mapping[str, Any]
Result = dict[str, Any]

_NO_GRAFANA = "there is no image of Grafana: a read-only viewer shows the same dashboards"


def container_engine(params: Params, *, check: bool) -> Result:
    """A container engine runs, or ours does not."""
    if params["state"] == "present":
        return engine_setup.present(params["source"], check=check)
    return engine_setup.absent(purge=params["purge"], check=check)


def supply(params: Params, *, check: bool) -> Result:
    """Images and tools are there."""
    versions = load(Path(params["versions_file"]))
    running = (cluster.facts(params["cluster"]) or {}).get("supply", "")
    mode, why = modes.choose(params["mode"], params["mirror"], versions, running)
    docker, host = Path(params["docker"]), params["host"]
    if check and not answers(docker, host):
        return {"changed": True, **vars(modes.unknown(mode, why, versions, params["also"]))}
    supplied = modes.Supplier(versions, docker, host, check).supply(
        mode, why, params["mirror"] if mode == "mirror" else "", also=params["also"],
        before_build=lambda: engine_setup.prepare_builds(docker, host),
    )  # fmt: skip
    notes = [] if "grafana" in supplied.images else [_NO_GRAFANA]
    return {"changed": bool(supplied.made), "notes": notes, **vars(supplied)}


def prune_builds(params: Params, *, check: bool) -> Result:
    """What only builds needed is gone."""
    versions = load(Path(params["versions_file"]))
    supplier = modes.Supplier(versions, Path(params["docker"]), params["host"])
    left = bool(supplier.leftovers())
    if left and not check:
        supplier.prune()
    return {"changed": left}


def kind_cluster(params: Params, *, check: bool) -> Result:
    """A kind cluster of ours runs and holds its images, has all its nodes, or is gone."""
    name = str(params["name"])
    if params["state"] == "absent":
        return cluster_setup.absent(name, check=check)
    if params["state"] == "joined":
        return cluster_setup.joined(name, check=check)
    engine = Engine(Path(str(params["docker"])), str(params["host"]))
    if check and not answers(engine.docker, engine.host):
        return {"changed": True, "facts": {}, "notes": []}
    wanted = cluster_setup.Wanted(
        name=name,
        **{
            key: params[key]
            for key in ("node_image", "ports", "tools", "about", "mirror", "autoscaler_period")
        },
        pools=params["node_pools"],
    )
    result = cluster_setup.present(engine, wanted, check=check)
    if not (check and result["changed"]):
        brought = cluster_setup.import_images(engine, name, list(params["images"]), check=check)
        result["changed"] = result["changed"] or bool(brought)
    return result


def generated_secret(params: Params, *, check: bool) -> Result:
    """Secrets have a value for each key, and what uses them runs with these."""
    kubectl = Kubectl.of(params)
    wanted = [
        cluster_secrets.Wanted(one["name"], one["namespace"], tuple(one["keys"]))
        for one in params["secrets"]
    ]
    lacking = cluster_secrets.missing(kubectl, wanted)
    restarted: list[str] = []
    if not check:
        cluster_secrets.generate(kubectl, lacking)
        restarted = cluster_secrets.restart_users(kubectl, lacking)
    generated = [f"{o.namespace}/{o.name} {key}" for o, keys in lacking.items() for key in keys]
    return {"changed": bool(lacking), "generated": generated, "restarted": restarted}


def helm_release(params: Params, *, check: bool, diff: bool = False) -> Result:
    """Helm releases are installed, or removed; with ``diff`` the result has what changes."""
    kubectl, releases = Kubectl.of(params), params["releases"]
    wanted = [helm.Release(**{**raw, "chart": Path(raw["chart"])}) for raw in releases]
    plans = helm.plan(kubectl, wanted, remove=params["state"] == "absent")
    changed = [plan for plan in plans if plan.changed]
    result: Result = {
        "changed": bool(changed),
        "releases": [
            {"name": p.release.name, "changed": p.changed, "recovered": p.recovered} for p in plans
        ],
    }
    if changed:
        client = helm.Helm(Path(params["helm_binary"]), kubectl, params["timeout"])
        if diff:
            result["diff"] = [_diff(client, plan) for plan in changed]
        if not check:
            client.carry_out(changed, wait=params["wait"])
    return result


def _diff(client: helm.Helm, plan: helm.Plan) -> dict[str, str]:
    header = f"{plan.release.namespace}/{plan.release.name}"
    return {
        "before_header": header,
        "after_header": header,
        "before": helm.masked_manifest(plan.live.manifest) if plan.live else "",
        "after": "" if plan.remove else client.render(plan.release),
    }


def workloads_ready(params: Params, *, check: bool) -> Result:
    """Workloads are ready; ``check`` waits for none."""
    if check:
        return {"changed": False, "ready_after": {}}
    wanted = [workloads.Workload(**raw) for raw in params["workloads"]]
    with progress.step("wait"):
        ready = workloads.wait(Kubectl.of(params), wanted, params["timeout"])
    return {"changed": False, "ready_after": ready}


def sample_models(params: Params, *, check: bool) -> Result:
    """Sample models have a champion."""
    made = samples.ensure(params["cluster"], params["models"], check=check)
    return {"changed": bool(made), "made": made}


ALL: dict[str, Callable[..., Result]] = {
    one.__name__: one
    for one in (
        container_engine, supply, prune_builds, kind_cluster, generated_secret, helm_release,
        workloads_ready, sample_models,
    )
}  # fmt: skip
