"""The load test's observers beside a real cluster: what happens to it arrives in the timeline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from conftest import Cluster

from kindling import settings
from loadtests import environment as environments
from loadtests import intervals, pod_start
from loadtests.autoscaler import hold, wait_at_minimum
from loadtests.environment import Environment
from loadtests.facts import facts
from loadtests.judge import first_pod, scaling, sight
from loadtests.observers import Observers
from loadtests.timeline import Moment, Source, Timeline


@pytest.fixture(scope="module")
def environment(cluster: Cluster) -> Environment:
    found = environments.find(settings.load("local"))
    wait_at_minimum(found)
    return found


def watching(environment: Environment, timeline: Timeline) -> Observers:
    return Observers(
        environment.kubectl, timeline, namespace=environment.namespace,
        deployment=environment.deployment, hpa=environment.hpa,
        prometheus_url=environment.prometheus_url, alertmanager_url=environment.alertmanager_url,
        receiver=environment.receiver,
    )  # fmt: skip


def arrives(
    timeline: Timeline, source: Source, want: Callable[[Moment], object], seconds: float = 90
) -> Moment:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for moment in timeline.of(source):
            if want(moment):
                return moment
        time.sleep(0.05)
    raise AssertionError(f"no such {source} in {seconds:g} s: {timeline.of(source)}")


@contextmanager
def minimum(environment: Environment, pods: int) -> Iterator[None]:
    """The autoscaler's minimum, for a while: it starts and stops pods as under load."""

    def patch(number: int) -> None:
        change = json.dumps({"spec": {"minReplicas": number}})
        environment.kubectl.check(
            "patch", "horizontalpodautoscalers", environment.hpa, "--type=merge",
            f"--namespace={environment.namespace}", f"--patch={change}",
        )  # fmt: skip

    try:
        patch(pods)
        yield
    finally:
        patch(environment.minimum)


def test_scaling_out_and_in_is_seen_and_passes_the_checks(environment: Environment) -> None:
    timeline, wanted = Timeline(), environment.minimum + 1
    described = intervals.describe(environment)
    with watching(environment, timeline) as observers:
        timeline.add("stage", "step", phase="begin", rate=0)
        began = time.time()
        with minimum(environment, wanted):
            new = arrives(timeline, "pod", lambda m: m.time > began and m.fields["ready"])
            assert new.fields["requests"]["cpu"] > 0
            arrives(timeline, "deployment", lambda m: m.fields["ready"] == wanted)
            arrives(timeline, "hpa", lambda m: m.fields["current"] == wanted)
            arrives(timeline, "event", lambda m: m.name == "SuccessfulRescale")
            arrives(timeline, "metrics", lambda m: len(m.fields["values"]) == wanted)
        timeline.add("stage", "step", phase="end", rate=0)
        arrives(timeline, "pod", lambda m: m.fields["gone"], seconds=240)
        arrives(
            timeline, "deployment",
            lambda m: m.time > new.time and m.fields["ready"] == environment.minimum,
        )  # fmt: skip
        share = observers.cpu_share
    (created, *_) = timeline.of("pod", new.name)
    assert not created.fields["ready"]
    assert created.fields["created"] <= created.time
    checks = [
        *scaling.scaled_out(
            timeline, scenario="observers", stage_name="step", wanted=wanted, within=120
        ),
        scaling.scaled_in(
            timeline, scenario="observers", stage_name="step", wanted=environment.minimum,
            within=240,
        ),
        scaling.on_pools(
            timeline, scenario="observers", pools=environment.pools,
            gpu_pools=environment.gpu_pools,
        ),
        scaling.within_maximum(timeline, scenario="observers"),
        scaling.at_minimum(timeline, scenario="observers"),
        scaling.not_restarted(timeline, scenario="observers"),
        scaling.scheduled(timeline, scenario="observers", within=10),
        sight.seen_throughout(
            timeline, scenario="observers", names=observers.names, begin=began, end=new.time,
            most_seconds=10,
        ),
    ]  # fmt: skip
    assert [check for check in checks if check.status != "passed"] == []
    assert first_pod.first_new_pod(timeline, "step") is not None
    assert described.intervals.scrape == 5
    assert share < 0.5


def test_the_watchdog_is_seen_and_its_rule_is_known(environment: Environment) -> None:
    timeline = Timeline()
    with watching(environment, timeline):
        watchdog = arrives(timeline, "alert", lambda m: m.name == "Watchdog")
        active = arrives(timeline, "metrics", lambda m: m.name == "active alerts")
    assert watchdog.fields["state"] == "firing"
    assert watchdog.fields["active_at"] < watchdog.time
    assert active.fields["values"]["Watchdog"] == 1
    described = intervals.describe(environment)
    assert described.rule("HighErrorRate").evaluation == described.intervals.evaluation
    assert described.intervals.control_loop is not None
    assert described.intervals.metrics_resolution is not None
    assert {node["pool"] for node in described.about["nodes"]} >= {"control-plane", "cpu"}
    assert facts(described)["versions"]


def test_the_start_of_a_pod_is_measured_and_the_autoscaler_left_as_it_was(
    environment: Environment,
) -> None:
    took = pod_start.measure(environment)
    assert took > 0
    hpa = environment.kubectl.get(
        "horizontalpodautoscalers", environment.hpa, f"--namespace={environment.namespace}"
    )
    bounds = hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]
    assert bounds == (environment.minimum, environment.maximum)
    wait_at_minimum(environment, seconds=5)


def test_what_a_killed_measurement_left_is_mended(environment: Environment) -> None:
    hold(environment, environment.minimum + 1)
    found = environments.find(settings.load("local"))
    assert (found.minimum, found.maximum) == (environment.minimum, environment.maximum)
    wait_at_minimum(found)
    hpa = environment.kubectl.get(
        "horizontalpodautoscalers", environment.hpa, f"--namespace={environment.namespace}"
    )
    bounds = hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]
    assert bounds == (environment.minimum, environment.maximum)
    assert "kindling.dev/bounds-before" not in hpa["metadata"].get("annotations", {})
