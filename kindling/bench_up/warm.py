"""How fast a warm ``cluster-up`` is, beside its floor and beside installing one after another.

All three are measured in turn in the same run, so that a slow machine slows all of them:

- ours: ``cluster-up`` after ``cluster-down``, engine start included;
- floor: ``kind create cluster --wait`` with the same image and nodes, plus the larger of the
  slowest chart, MLflow's with the database's before it, and the processor time of all charts
  divided by the cores, plus what registering the sample models took in our run;
- serial: ``playbooks/serial.yml``, the same roles one after another, each chart with
  ``helm --wait``, engine start included.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kindling import (
    cluster,
    cluster_secrets,
    cluster_setup,
    engine_setup,
    helm,
    paths,
    settings,
)
from kindling.bench_up import interrupts, machine
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl
from kindling.supply import command
from kindling.supply.containers import Engine

_LIMIT_FLOOR, _LIMIT_SERIAL = 1.3, 0.6


@dataclass(frozen=True)
class Bare:
    """One run without Kindling: seconds for the cluster, for each chart, and for the models."""

    create: float
    charts: dict[str, float]
    chart_cpu: float
    models: float

    @property
    def floor(self) -> float:
        """Seconds below which no order of the same work can be."""
        chain = self.charts["postgresql"] + self.charts["mlflow"]
        slowest = max(*self.charts.values(), chain, self.chart_cpu / (os.cpu_count() or 1))
        return self.create + slowest + self.models


def measure(runs: int, *, remove_cluster: bool) -> None:
    """Measure each ``runs`` times and print it.

    Raises KindlingError while a cluster is up, unless it may be removed.
    """
    name = settings.load().cluster_name
    if cluster.facts(name) and not remove_cluster:
        raise KindlingError(
            f"the benchmark removes the cluster {name} that is up",
            next_step="nox -s bench-up -- --yes",
        )
    try:
        _measure(name, runs)
    except KeyboardInterrupt:
        with interrupts.postponed(print):
            _playbook("down")
        raise


def _measure(name: str, runs: int) -> None:
    _playbook("down")
    _playbook("up")  # Warm: whatever is missing is built before anything is measured.
    ours, bare, serial, steps = [], [], [], []
    for run in range(runs):
        _playbook("down")
        ours.append(_playbook("up"))
        steps.append(json.loads((paths.cache_dir() / "timings.json").read_text()))
        bare.append(_bare(name, _models_seconds(steps[-1])))
        serial.append(_playbook("serial"))
        print(f"run {run + 1}: ours {ours[-1]:.1f} s, floor {bare[-1].floor:.1f} s, "
              f"serial {serial[-1]:.1f} s", flush=True)  # fmt: skip
    _playbook("down")
    _report(ours, bare, serial, steps)


def _playbook(name: str) -> float:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "kindling.run", name], capture_output=True, text=True
    )
    if done.returncode:
        raise KindlingError(f"cluster-{name} failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - began


def _models_seconds(timings: dict[str, Any]) -> float:
    return sum(float(task["seconds"]) for task in timings["tasks"] if task["role"] == "models")


def _bare(name: str, models: float) -> Bare:
    """Measure without Kindling, with the image, the nodes and the values of the last run."""
    known = cluster.facts(name)
    assert known is not None
    kubectl = cluster_setup.kubectl(known)
    releases = [helm.decode(s) for s in kubectl.items("secrets", "-A", "--selector=owner=helm")]
    # Each after what it needs.
    releases.sort(key=lambda release: {"mlflow": 1, "serving": 2}.get(release.name, 0))
    generated = [
        cluster_secrets.Wanted(s["metadata"]["name"], s["metadata"]["namespace"], tuple(s["data"]))
        for s in kubectl.items(
            "secrets", "-A", "--selector=app.kubernetes.io/part-of=kindling",
            "--field-selector=type=Opaque",
        )
    ]  # fmt: skip
    _playbook("down")
    found = engine_setup.present("auto", check=False)
    docker = Engine(Path(found["docker"]), found["host"])
    config = cluster.kind_config(
        known["node_pools"],
        known["ports"],
        cgroup_v1=cluster.needs_cgroup_v1_patch(docker),
        withheld_capabilities=cluster.withheld_capabilities(),
        simulate_gpus=known["gpu_mode"] == "simulated",
    )
    bench = f"{name}-bench"
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        # What a killed benchmark left.
        cluster.delete(docker, bench)
        try:
            began = time.monotonic()
            command.run(
                [known["tools"]["kind"], "create", "cluster", f"--name={bench}", "--wait=180s",
                 f"--image={known['node_image']}", f"--kubeconfig={kubeconfig}", "--config=-"],
                env=docker.env, stdin=config,
            )  # fmt: skip
            create = time.monotonic() - began
            # The node image may hold the service's image as it was before a change.
            images = [release.values["image"] for release in releases]
            refs = [f"{image['repository']}:{image['tag']}" for image in images]
            cluster_setup.import_images(docker, bench, refs, check=False)
            client = Kubectl(Path(known["tools"]["kubectl"]), kubeconfig, cluster.context(bench))
            cluster_secrets.generate(client, {one: one.keys for one in generated})
            charts, cpu = {}, 0.0
            for release in releases:
                before, began = machine.busy_seconds(), time.monotonic()
                _install(known["tools"]["helm"], release, kubeconfig)
                charts[release.name] = time.monotonic() - began
                cpu += machine.busy_seconds() - before
        finally:
            cluster.delete(docker, bench)
            cluster.remove_network(docker)
            engine_setup.absent(purge=False, check=False)
    return Bare(create, charts, cpu, models)


def _install(binary: str, release: helm.Revision, kubeconfig: Path) -> None:
    # The service becomes ready with the models, which are counted by themselves.
    wait = [] if release.name == "serving" else ["--wait", "--timeout=180s"]
    command.run(
        [binary, "install", release.name, str(paths.REPOSITORY / "charts" / release.name),
         f"--namespace={release.namespace}", "--create-namespace", *wait,
         f"--kubeconfig={kubeconfig}", "--values=-"],
        stdin=json.dumps(release.values),
    )  # fmt: skip


def _report(
    ours: list[float], bare: list[Bare], serials: list[float], steps: list[dict[str, Any]]
) -> None:
    def median(values: Sequence[float]) -> float:
        return statistics.median(values)

    floors = [b.floor for b in bare]
    print("\nmedians of", len(ours), "runs, in seconds")
    print(f"  ours     {median(ours):6.1f}   of {', '.join(f'{v:.1f}' for v in ours)}")
    create, cpu = median([b.create for b in bare]), median([b.chart_cpu for b in bare])
    print(f"  floor    {median(floors):6.1f}   kind create --wait {create:.1f},", end=" ")
    models = median([b.models for b in bare])
    print(f"processor time of charts {cpu:.1f}, sample models {models:.1f}")
    for chart in bare[0].charts:
        print(f"    {chart:<20} {median([b.charts[chart] for b in bare]):5.1f}")
    print(f"  serial   {median(serials):6.1f}")
    to_floor = median([o / f for o, f in zip(ours, floors, strict=True)])
    to_serial = median([o / s for o, s in zip(ours, serials, strict=True)])
    print(f"  ours / floor  {to_floor:.2f}   (limit {_LIMIT_FLOOR})")
    print(f"  ours / serial {to_serial:.2f}   (limit {_LIMIT_SERIAL})")
    last = steps[-1]
    print("\nshares of the last run")
    for task in sorted(last["tasks"], key=lambda task: -task["seconds"]):
        if task["seconds"] >= 0.2:
            share, title = task["seconds"] / ours[-1], f"{task['role']}: {task['task']}"
            print(f"  {share:6.1%}  {task['seconds']:5.1f}  {title}")
    rest = ours[-1] - sum(task["seconds"] for task in last["tasks"])
    print(f"  {rest / ours[-1]:6.1%}  {rest:5.1f}  outside of tasks")
