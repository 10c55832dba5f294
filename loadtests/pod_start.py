"""How long a pod of the service takes to start when nothing else is waited for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from kindling.errors import KindlingError
from loadtests.autoscaler import hold, release, wait_at_minimum
from loadtests.environment import Environment
from loadtests.observers import Observers
from loadtests.timeline import Timeline


def measure(environment: Environment, seconds: float = 120) -> float:
    """Seconds from created to Ready of one pod more than the autoscaler's minimum.

    Both are seen as they happen: what the API server notes of them is whole seconds. Begins and
    ends at the minimum. Raises KindlingError where the pod was not ready within ``seconds``.
    """
    wait_at_minimum(environment)
    timeline = Timeline()
    watching = Observers(
        environment.kubectl, timeline, namespace=environment.namespace,
        deployment=environment.deployment, hpa=environment.hpa, prometheus_url=None,
        alertmanager_url=None, receiver=False,
    )  # fmt: skip
    try:
        with watching:
            before = {one.name for one in timeline.of("pod")}
            with _one_more(environment):
                took = _started(timeline, before, seconds)
        wait_at_minimum(environment)
    finally:
        release(environment)
    return took


@contextmanager
def _one_more(environment: Environment) -> Iterator[None]:
    """One pod more while it lasts, with the autoscaler held.

    It would scale in again, and later out: a pod that starts uses more than its share of CPU.
    """
    more = environment.minimum + 1
    if more > environment.maximum:
        raise KindlingError(
            f"the autoscaler may have {environment.maximum} pods: no room to start one more",
            next_step="raise serving_values.autoscaling.maxReplicas in the inventory",
        )
    try:
        hold(environment, more)
        yield
    finally:
        hold(environment, environment.minimum)


def _started(timeline: Timeline, before: set[str], seconds: float) -> float:
    deadline = time.monotonic() + seconds
    while True:
        new = [one for one in timeline.of("pod") if one.name not in before]
        ready = [one.time for one in new if one.fields["ready"]]
        if ready:
            return ready[0] - new[0].time
        if time.monotonic() > deadline:
            last = f"{new[-1].fields['phase']} {new[-1].fields['reason']}" if new else "not there"
            raise KindlingError(
                f"one more pod was not ready after {seconds:g} s: {last.strip()}",
                next_step="nox -s status",
            )
        time.sleep(0.1)
