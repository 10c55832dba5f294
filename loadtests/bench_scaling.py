"""How soon a new pod is ready after a step of load, beside its floor and beside the usual way.

All three are measured in turn on the same cluster:

- ours: steps of load at random moments, to the first new pod that is ready;
- floor: the scrape interval, plus the autoscaler's period, plus what one more pod takes to start,
  measured first;
- stock: the same steps under an autoscaler on CPU alone, with Kubernetes' own pace and period.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kindling import settings
from kindling.errors import KindlingError
from kindling.supply.containers import Engine
from loadtests import data as held_out
from loadtests import learning, pod_start
from loadtests.autoscaler import hold, release, wait_at_minimum
from loadtests.data import Data
from loadtests.environment import Environment, find
from loadtests.intervals import Intervals, describe
from loadtests.judge.first_pod import Floor, first_new_pod
from loadtests.load import Generator, Stage
from loadtests.mix import BUSY
from loadtests.observers import Observers
from loadtests.timeline import Timeline

_MEDIAN, _WORST, _STOCK = 1.0, 1.25, 0.4
_USERS = 20
_STOCK_SECONDS = 120.0
# Kubernetes' defaults. Left out, they are the same but for one thing: pods that were taken away
# come back as long as the autoscaler remembers that it wanted them, whatever the load is by then.
_BEHAVIOR = {"scaleDown": {"stabilizationWindowSeconds": 300}}
_MANIFEST = "/etc/kubernetes/manifests/kube-controller-manager.yaml"
_FLAG = "--horizontal-pod-autoscaler-sync-period="
_USUAL_PERIOD = "15s"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 1 where a ratio is not within its limit."""
    parser = argparse.ArgumentParser(prog="nox -s bench-scaling --", allow_abbrev=False)
    settings.add_arguments(parser)
    parser.add_argument("--steps", type=int, default=10, help="steps of load of ours")
    parser.add_argument("--stock", type=int, default=3, help="steps of load of the stock one")
    arguments = parser.parse_args(argv)
    try:
        return _measure(arguments)
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _measure(arguments: argparse.Namespace) -> int:
    environment = find(settings.load(arguments.inventory, arguments.set))
    intervals = describe(environment).intervals
    data = learning.learn(held_out.load(), environment.url)
    floor = Floor(
        _scrape(environment, intervals), intervals.control_loop or 15.0,
        pod_start.measure(environment),
    )  # fmt: skip
    print(f"floor  {floor}", flush=True)
    ours = _steps("ours", environment, data, arguments.steps, 60.0)
    middle, worst = statistics.median(ours) / floor.seconds, max(ours) / floor.seconds
    rows = [
        (f"median of ours / floor {middle:.2f}", middle, _MEDIAN),
        (f"worst of ours / floor {worst:.2f}", worst, _WORST),
    ]
    if arguments.stock:
        with _stock(environment):
            stock = _steps("stock", environment, data, arguments.stock, _STOCK_SECONDS)
        ratio = statistics.median(ours) / statistics.median(stock)
        rows.append((f"median of ours / median of stock {ratio:.2f}", ratio, _STOCK))
    for text, value, limit in rows:
        print(f"{text}, at most {limit:.2f} wanted{'' if value <= limit else ': NOT met'}")
    return 0 if all(value <= limit for _, value, limit in rows) else 1


def _steps(
    name: str, environment: Environment, data: Data, steps: int, seconds: float
) -> list[float]:
    """Seconds from each step to the first new pod that was ready."""
    took, forgotten = list[float](), describe(environment).intervals.oldest_metric
    for number in range(steps):
        hold(environment, environment.minimum)
        # It would add pods for the load before, which it may only see now.
        time.sleep(forgotten)
        release(environment)
        # Anywhere between two looks of the autoscaler, and of metrics-server.
        time.sleep(random.uniform(0, 15))  # noqa: S311
        wait_at_minimum(environment, seconds=0)
        took.append(_step(environment, data, seconds))
        print(f"{name:<6}step {number + 1}: {took[-1]:5.1f} s", flush=True)
    return took


def _step(environment: Environment, data: Data, seconds: float) -> float:
    timeline = Timeline()
    watching = Observers(
        environment.kubectl, timeline, namespace=environment.namespace,
        deployment=environment.deployment, hpa=environment.hpa, prometheus_url=None,
        alertmanager_url=None, receiver=False,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="kindling-bench-") as folder, watching:
        before = {one.name for one in timeline.of("pod")}
        with Generator.start(
            environment.url, [Stage("step", seconds, None, _USERS)], BUSY, Path(folder), timeline,
            data=data,
        ) as load:  # fmt: skip
            while load.running and not _is_ready(timeline, before):
                time.sleep(0.1)
    if (found := first_new_pod(timeline, "step")) is None:
        raise KindlingError(
            f"no pod was added within {seconds:g} s of a step of load", next_step="nox -s status"
        )
    return found


def _is_ready(timeline: Timeline, before: set[str]) -> bool:
    return any(one.name not in before and one.fields["ready"] for one in timeline.of("pod"))


def _scrape(environment: Environment, intervals: Intervals) -> float:
    """Of the service's pods, which ask for an interval of their own."""
    found = environment.kubectl.get(
        "deployments.apps", environment.deployment, f"--namespace={environment.namespace}"
    )
    annotations = found["spec"]["template"]["metadata"].get("annotations", {})
    asked = str(annotations.get("kindling.dev/scrape-interval", "")).removesuffix("s")
    return float(asked) if asked else intervals.scrape


@contextmanager
def _stock(environment: Environment) -> Iterator[None]:
    """An autoscaler as `kubectl autoscale` would make it, and the controller's usual period."""
    space = f"--namespace={environment.namespace}"
    hpa = environment.kubectl.get("horizontalpodautoscalers.v2.autoscaling", environment.hpa, space)
    cpu = [one for one in hpa["spec"]["metrics"] if one["type"] == "Resource"]
    period = f"{describe(environment).intervals.control_loop or 15.0:g}s"
    try:
        _patch(environment, [
            {"op": "replace", "path": "/spec/metrics", "value": cpu},
            {"op": "replace", "path": "/spec/behavior", "value": _BEHAVIOR},
        ])  # fmt: skip
        _set_period(environment, _USUAL_PERIOD)
        yield
    finally:
        _patch(environment, [
            {"op": "replace", "path": "/spec/metrics", "value": hpa["spec"]["metrics"]},
            {"op": "replace", "path": "/spec/behavior", "value": hpa["spec"]["behavior"]},
        ])  # fmt: skip
        _set_period(environment, period)


def _patch(environment: Environment, operations: Sequence[dict[str, Any]]) -> None:
    environment.kubectl.check(
        "patch", "horizontalpodautoscalers", environment.hpa, "--type=json",
        f"--namespace={environment.namespace}", f"--patch={json.dumps(operations)}",
    )  # fmt: skip


def _set_period(environment: Environment, period: str, seconds: float = 120) -> None:
    """Have every controller manager look that often, and wait until one leads again."""
    known = environment.facts["engine"]
    engine = Engine(Path(known["docker"]), known["host"])
    nodes = environment.kubectl.items("nodes", "--selector=node-role.kubernetes.io/control-plane")
    for node in nodes:
        name = node["metadata"]["name"]
        engine.run(
            "exec", name, "sed", "-i", f"s/{_FLAG}[0-9a-z]*/{_FLAG}{period}/", _MANIFEST,
            what=f"setting the autoscaler's period on {name}",
        )  # fmt: skip
    # As Kubernetes tells when a leader took over.
    began = time.time()
    deadline = time.monotonic() + seconds
    while not _leads(environment, period, began):
        if time.monotonic() > deadline:
            raise KindlingError(
                f"no controller manager led within {seconds:g} s after its change",
                next_step="nox -s cluster-down, then nox -s cluster-up",
            )
        time.sleep(1)


def _leads(environment: Environment, period: str, since: float) -> bool:
    """Whether the pods run with the period, and one of them leads where they elect a leader."""
    pods = environment.kubectl.items(
        "pods", "--namespace=kube-system", "--selector=component=kube-controller-manager"
    )
    flags = [word for pod in pods for word in pod["spec"]["containers"][0]["command"]]
    ready = all(
        one["status"] == "True"
        for pod in pods
        for one in pod["status"].get("conditions", [])
        if one["type"] == "Ready"
    )
    if not (pods and ready and f"{_FLAG}{period}" in flags):
        return False
    if "--leader-elect=false" in flags:
        return True
    lease = environment.kubectl.get(
        "leases.coordination.k8s.io", "kube-controller-manager", "--namespace=kube-system"
    )
    renewed = str(lease["spec"]["renewTime"])
    return renewed > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since + 20))


if __name__ == "__main__":
    sys.exit(main())
