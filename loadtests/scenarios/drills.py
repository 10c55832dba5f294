"""What goes wrong in a cluster sooner or later, one after the other, under load."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from kindling.errors import KindlingError
from loadtests import clock
from loadtests.autoscaler import hold, release, wait_at_minimum
from loadtests.checks import Check
from loadtests.environment import Environment
from loadtests.judge import requests
from loadtests.judge.seen import Verdicts, seconds
from loadtests.load import Mix, Stage
from loadtests.loadtest import LoadTest
from loadtests.scenarios.scenario import Scenario

_RATE, _USERS = 10.0, 64
# One may go while the other answers.
_PODS = 2
_BEFORE_SECONDS, _AFTER_SECONDS = 4.0, 8.0
_AGAIN_SECONDS = 120.0
# A container that is killed takes with it what it was answering.
_KILL_BOUND = 0.02
_MOST_SECONDS = 900.0
_MIX = Mix(predict=0.9, chat=0.1)


@dataclass(frozen=True)
class _Drill:
    """Something that goes wrong, what brings it back, and the share of requests it may cost."""

    name: str
    text: str
    do: Callable[[Environment], None]
    undo: Callable[[Environment], None] = lambda _: None
    may_fail: float = 0.0


def _run(test: LoadTest) -> list[Check]:
    environment, _ = test.cluster
    wait_at_minimum(environment)
    checks: list[Check] = []
    with _more_pods(test), test.load([Stage("drills", _MOST_SECONDS, _RATE, _USERS)], _MIX):
        for drill in _DRILLS:
            time.sleep(_BEFORE_SECONDS)
            began = test.act(drill.name, drill.text)
            try:
                drill.do(environment)
                time.sleep(_AFTER_SECONDS)
            finally:
                drill.undo(environment)
            well = test.wait(
                f"{_PODS} pods and all else ready", lambda: _is_well(environment),
                seconds=_AGAIN_SECONDS,
            )  # fmt: skip
            ended = clock.now()
            checks.append(_came_back(drill, well, ended - began))
            time.sleep(_BEFORE_SECONDS)
            checks += _requests(test, drill, began, clock.now())
    return checks


@contextmanager
def _more_pods(test: LoadTest) -> Iterator[None]:
    environment, _ = test.cluster
    pods = max(_PODS, environment.minimum)
    if pods > environment.maximum:
        raise KindlingError(
            f"the autoscaler may have {environment.maximum} pods, and drills take {pods}",
            next_step="raise serving_values.autoscaling.maxReplicas in the inventory",
        )
    try:
        hold(environment, pods)
        if not test.wait(f"{pods} pods", lambda: _is_well(environment), seconds=_AGAIN_SECONDS):
            raise KindlingError(f"{pods} pods were not ready", next_step="nox -s status")
        yield
    finally:
        release(environment)


def _is_well(environment: Environment) -> bool:
    """Whether all Deployments and StatefulSets of the namespace have the pods that they want."""
    items = environment.kubectl.items(
        "deployments.apps,statefulsets.apps", f"--namespace={environment.namespace}"
    )
    for one in items:
        status, wanted = one.get("status", {}), one["spec"].get("replicas", 1)
        if one["metadata"]["name"] == environment.deployment:
            wanted = max(_PODS, environment.minimum)
        current = one["metadata"]["generation"] == status.get("observedGeneration")
        counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
        if not current or counts != [wanted] * 3:
            return False
    return True


def _came_back(drill: _Drill, well: bool, took: float) -> Check:
    make = Verdicts(SCENARIO.name)
    return make(
        f"{drill.name}: all came back", well, expected="every pod ready again",
        observed=f"after {seconds(took)}" if well else "not", bound=f"≤ {seconds(_AGAIN_SECONDS)}",
        hint="nox -s status",
    )  # fmt: skip


def _requests(test: LoadTest, drill: _Drill, began: float, ended: float) -> list[Check]:
    name = SCENARIO.name
    samples = test.samples.between(began, ended)
    failed = requests.none_failed(samples, scenario=name)
    lost = int((samples.outcome == "failed").sum())
    if drill.may_fail and failed.status == "failed" and lost <= drill.may_fail * len(samples):
        failed = replace(failed, status="passed", hint="")
    if drill.may_fail:
        failed = replace(failed, name="few requests failed", bound=f"≤ {drill.may_fail:.0%}")
    return [
        replace(check, name=f"{drill.name}: {check.name}")
        for check in (failed, requests.none_wrong(samples, scenario=name))
    ]


def _kill_pod(environment: Environment) -> None:
    """End a serving process as the kernel does when memory is out: it drains nothing."""
    pods = environment.kubectl.items(
        "pods", f"--namespace={environment.namespace}",
        f"--selector=app.kubernetes.io/name={environment.deployment}",
    )  # fmt: skip
    environment.kubectl.check(
        "delete", "pod", pods[0]["metadata"]["name"], f"--namespace={environment.namespace}",
        "--grace-period=0", "--force",
    )  # fmt: skip


def _node(environment: Environment) -> str:
    pods = environment.kubectl.items(
        "pods", f"--namespace={environment.namespace}",
        f"--selector=app.kubernetes.io/name={environment.deployment}",
    )  # fmt: skip
    return str(pods[0]["spec"]["nodeName"])


def _drain(environment: Environment) -> None:
    """Have the service's pods, and no others, leave a node, as before its maintenance."""
    node = _node(environment)
    environment.kubectl.check(
        "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s",
        f"--pod-selector=app.kubernetes.io/name={environment.deployment}",
        timeout=140,
    )  # fmt: skip


def _uncordon(environment: Environment) -> None:
    for node in environment.kubectl.items("nodes"):
        if node["spec"].get("unschedulable"):
            environment.kubectl.check("uncordon", node["metadata"]["name"])


def _restart(what: str) -> Callable[[Environment], None]:
    def restart(environment: Environment) -> None:
        environment.kubectl.check(
            "rollout", "restart", what, f"--namespace={environment.namespace}"
        )

    return restart


def _replicas(what: str, count: int) -> Callable[[Environment], None]:
    def change(environment: Environment) -> None:
        environment.kubectl.check(
            "scale", what, f"--namespace={environment.namespace}", f"--replicas={count}"
        )

    return change


_DRILLS = (
    _Drill("kill a pod", "end a serving pod without a word", _kill_pod, may_fail=_KILL_BOUND),
    _Drill("drain a node", "have the service leave a node", _drain, _uncordon),
    _Drill("restart MLflow", "restart the model registry", _restart("deployment/mlflow")),
    _Drill(
        "Prometheus down", "take Prometheus away for a while",
        _replicas("statefulset/prometheus", 0), _replicas("statefulset/prometheus", 1),
    ),
    _Drill("roll out", "replace every serving pod", _restart("deployment/serving")),
)  # fmt: skip

SCENARIO = Scenario(
    "drills",
    "Drills",
    "Under load a pod is killed, a node is drained, MLflow is restarted, Prometheus is away, "
    "and every pod is replaced: the service answers on, and all comes back.",
    _run,
)
