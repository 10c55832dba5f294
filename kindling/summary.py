"""What ``cluster-up`` ends with: what runs, how long each step took, what to type next."""

from __future__ import annotations

import io
import sys
import urllib.request
from collections.abc import Collection, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from kindling import cluster, paths
from kindling.settings import Settings

_STEP_SECONDS = 2.0
_WIDTH = 100
_ROLES = {
    "engine": "container engine",
    "images": "images and tools",
    "cluster": "kind cluster",
    "models": "sample models",
    "releases": "charts, until ready",
}


def render(settings: Settings, timings: Mapping[str, Any], seconds: float) -> str:
    """The closing table for the cluster that ``settings`` names.

    ``timings`` is what the callback wrote, or a run with nothing to do; ``seconds`` is the whole
    run.
    """
    known = cluster.facts(settings.cluster_name) or {}
    out = io.StringIO()
    console = Console(file=out, width=_WIDTH, highlight=False, force_terminal=sys.stdout.isatty())
    console.print()
    console.print(_what_runs(known, timings["roles"]))
    console.print(_how_long(timings, seconds))
    port = known.get("ports", {}).get("serving", 8080)
    example = paths.REPOSITORY / "service" / "example.json"
    console.print("Next:")
    body = example.relative_to(paths.REPOSITORY)
    # curl would ask a proxy of the environment for 127.0.0.1 too.
    proxies = urllib.request.getproxies().keys() & {"http", "all"}
    proxied = proxies and not urllib.request.proxy_bypass("127.0.0.1")
    console.print(f"  curl -s {'--noproxy 127.0.0.1 ' if proxied else ''}"
                  f"-H 'Content-Type: application/json' -d @{body} "
                  f"http://127.0.0.1:{port}/predict", soft_wrap=True)  # fmt: skip
    console.print(f"  export KUBECONFIG={known['kubeconfig']}  # for kubectl and helm")
    console.print("  nox -s models        what is registered, and what is served of it")
    console.print("  nox -s alerts        what fires, and what was notified")
    console.print("  nox -s status        what runs, and whether it is well")
    console.print("  nox -s tests         the tests, now with those of a cluster")
    console.print("  nox -s cluster-down  remove it all; caches stay")
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _what_runs(known: Mapping[str, Any], roles: Collection[str]) -> Table:
    table = Table(title="What runs", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("what", "where", "about"):
        table.add_column(heading, overflow="fold")
    port = known["ports"]["serving"]
    url = f"http://127.0.0.1:{port}"
    pools = known["node_pools"]
    nodes = ", ".join(f"{pool.get('count', 1)} {pool['name']}" for pool in pools)
    gpus = sum(pool.get("count", 1) * pool.get("gpus", 0) for pool in pools)
    table.add_row("model service", url, "/predict, /v1/chat/completions, /ready, /docs")
    table.add_row("its API in a browser", f"{url}/docs", "try a prediction there")
    registry = f"http://127.0.0.1:{known['ports']['mlflow']}"
    table.add_row("MLflow", registry, "user admin; nox -s password prints the password")
    ports = known["ports"]
    table.add_row(
        "dashboards",
        f"http://127.0.0.1:{ports['dashboards']}",
        "read-only viewer: no image of Grafana"
        if "dashboards" in roles
        else "Grafana, user admin; nox -s password -- grafana prints the password",
    )
    table.add_row("Prometheus", f"http://127.0.0.1:{ports['prometheus']}",
                  "queries, alerts, targets")  # fmt: skip
    table.add_row("Alertmanager", f"http://127.0.0.1:{ports['alertmanager']}",
                  "alerts that fire, silences")  # fmt: skip
    table.add_row("Kubernetes", f"context {known['context']}",
                  f"{known['kubernetes_version']} on {nodes}")  # fmt: skip
    if gpus and known["gpu_mode"] == "simulated":
        table.add_row("GPUs", "nvidia.com/gpu", f"{gpus}, simulated")
    network = known["pod_network"]
    about = "" if network["enforces_network_policy"] else "does not enforce NetworkPolicies"
    table.add_row("pod network", network["name"], about)
    return table


def _how_long(timings: Mapping[str, Any], seconds: float) -> Table:
    table = Table(title="\nHow long it took", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("step")
    table.add_column("seconds", justify="right")
    by_role: dict[str, float] = {}
    steps: dict[str, list[Mapping[str, Any]]] = {}
    for task in timings["tasks"]:
        by_role[task["role"]] = by_role.get(task["role"], 0.0) + task["seconds"]
        steps.setdefault(task["role"], []).extend(task["steps"])
    for role, title in _ROLES.items():
        if role not in by_role:
            continue
        table.add_row(title, f"{by_role[role]:.1f}")
        for step in steps[role]:
            if step["seconds"] >= _STEP_SECONDS:
                table.add_row(f"  {step['name']}", f"{step['seconds']:.1f}", style="dim")
    table.add_row("all of it", f"{seconds:.1f}", style="bold")
    return table
