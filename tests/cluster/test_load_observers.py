"""The load test's observers beside a real cluster: what happens to it arrives in the timeline."""

from __future__ import annotations

import pytest
from conftest import Cluster
from loading import LoadTest

from kindling import settings
from loadtests import environment as environments
from loadtests import intervals, pod_start
from loadtests.autoscaler import hold, wait_at_minimum
from loadtests.environment import Environment
from loadtests.facts import facts
from loadtests.judge import first_pod, sight
from loadtests.judge.seen import first

# What a scenario that scales out and in makes of what observers saw.
SCALING = {
    "asked for 4 pods", "scaled out to 4 pods", "never above the maximum",
    "ran on the right node pool", "every pod got a node", "no pod restarted",
    "scaled in to 1 pod", "back to the minimum at the end",
}  # fmt: skip


@pytest.fixture(scope="module")
def environment(cluster: Cluster) -> Environment:
    found = environments.find(settings.load("local"))
    wait_at_minimum(found)
    return found


def test_scaling_out_and_in_is_seen_and_passes_the_checks(
    environment: Environment, load_test: LoadTest
) -> None:
    timeline, step, less = (
        load_test.timeline,
        load_test.stage("step"),
        load_test.stage("steady").end,
    )
    wanted = environment.maximum
    before = {one.name for one in timeline.of("pod", until=step.begin)}
    new = first(
        timeline.of("pod", since=step.begin),
        lambda one: one.name not in before and one.fields["ready"],
    )
    assert new
    assert new.fields["requests"]["cpu"] > 0
    (created, *_) = timeline.of("pod", new.name)
    assert not created.fields["ready"]
    assert created.fields["created"] <= created.time
    for source, shows in (
        ("deployment", lambda one: one.fields["ready"] == wanted),
        ("hpa", lambda one: one.fields["current"] == wanted),
        ("event", lambda one: one.name == "SuccessfulRescale"),
        ("metrics", lambda one: len(one.fields["values"]) == wanted),
    ):
        assert first(timeline.of(source, since=step.begin, until=less), shows), source
    # Which pods go is the ReplicaSet's choice: those of about one age are the same to it.
    gone = {one.name for one in timeline.of("pod", since=less) if one.fields["gone"]}
    assert gone & {one.name for one in timeline.of("pod", until=less) if one.fields["ready"]}
    assert first(
        timeline.of("deployment", since=less),
        lambda one: one.fields["ready"] == environment.minimum,
    )
    passed = {
        one["name"]
        for one in load_test.report["checks"]
        if (one["scenario"], one["status"]) == ("scale", "passed")
    }
    assert passed >= SCALING
    assert first_pod.first_new_pod(timeline, "step") is not None


def test_the_observers_see_all_the_time_and_take_little(load_test: LoadTest) -> None:
    timeline, (scale, _) = load_test.timeline, load_test.report["scenarios"]
    names = [
        "alert",
        "alertmanager",
        "deployment",
        "event",
        "hpa",
        "metrics",
        "notification",
        "pod",
    ]
    assert sorted({one.name for one in timeline.of("observer")}) == names
    seen = sight.seen_throughout(
        timeline, scenario="observers", names=names, begin=scale["begin"], end=scale["end"],
        most_seconds=10,
    )  # fmt: skip
    assert seen.status == "passed", seen
    share = load_test.report["environment"]["tested"]["CPU of the observers"]
    assert int(share.removesuffix("% of a core")) < 50


def test_the_watchdog_is_seen_and_its_rule_is_known(
    environment: Environment, load_test: LoadTest
) -> None:
    (watchdog, *_) = load_test.timeline.of("alert", "Watchdog")
    (active, *_) = load_test.timeline.of("metrics", "active alerts")
    assert watchdog.fields["state"] == "firing"
    assert watchdog.fields["active_at"] < watchdog.time
    assert active.fields["values"]["Watchdog"] == 1
    described = intervals.describe(environment)
    assert described.intervals.scrape == 5
    assert described.rule("HighErrorRate").evaluation == described.intervals.evaluation
    assert described.intervals.control_loop is not None
    assert described.intervals.metrics_resolution is not None
    assert {node["pool"] for node in described.about["nodes"]} >= {"control-plane", "cpu"}
    assert facts(described)["versions"]


def test_what_a_killed_measurement_left_is_mended_by_the_next_one(
    environment: Environment,
) -> None:
    hold(environment, environment.minimum + 1)
    found = environments.find(settings.load("local"))
    assert (found.minimum, found.maximum) == (environment.minimum, environment.maximum)
    assert pod_start.measure(found) > 0
    hpa = environment.kubectl.get(
        "horizontalpodautoscalers", environment.hpa, f"--namespace={environment.namespace}"
    )
    bounds = hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]
    assert bounds == (environment.minimum, environment.maximum)
    assert "kindling.dev/bounds-before" not in hpa["metadata"].get("annotations", {})
    wait_at_minimum(environment, seconds=5)
