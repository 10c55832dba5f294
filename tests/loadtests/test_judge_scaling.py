"""Checks of scaling: they pass, fail at their bound, and never pass for want of data."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from made_timelines import Story, T, scaled, scaled_in_again

from loadtests.checks import Check
from loadtests.judge import first_pod, scaling


def out(story: Story, *, wanted: int = 3, within: float = 30) -> list[Check]:
    return scaling.scaled_out(
        story.timeline, scenario="ramp", stage_name="step", wanted=wanted, within=within
    )


def back(story: Story, within: float = 70) -> Check:
    return scaling.scaled_in(
        story.timeline, scenario="ramp", stage_name="step", wanted=1, within=within
    )


def statuses(checks: list[Check]) -> list[str]:
    return [check.status for check in checks]


def test_scaling_out_passes_at_its_bound() -> None:
    asked, ready = out(scaled(ready=40), within=30)
    assert (asked.name, asked.status, asked.observed) == (
        "asked for 3 pods",
        "passed",
        "after 20.0 s",
    )
    assert (ready.name, ready.status, ready.observed) == (
        "scaled out to 3 pods", "passed", "after 30.0 s",
    )  # fmt: skip
    assert (ready.expected, ready.bound, ready.hint) == (
        "3 pods after the begin of step", "≤ 30.0 s", "",
    )  # fmt: skip


def test_scaling_out_fails_above_its_bound() -> None:
    asked, ready = out(scaled(ready=40.2), within=30)
    assert (asked.status, ready.status) == ("passed", "failed")
    assert ready.hint
    assert statuses(out(scaled(ready=40, asked=35), within=20)) == ["failed", "failed"]


def test_pods_that_are_added_are_seen_however_shortly() -> None:
    def added(story: Story) -> Check:
        return scaling.none_added(story.timeline, scenario="hostile", since=T + 10, minimum=1)

    quiet = Story().hpa(0, 1).pod(0, "a").stage("others", 10, 60).hpa(20, 1)
    assert (added(quiet).status, added(quiet).observed) == ("passed", "at most 1 pod")
    assert added(quiet.hpa(30, 2).hpa(40, 1)).status == "failed"
    assert added(Story().hpa(0, 1).pod(0, "a").pod(30, "b")).status == "failed"
    assert added(Story().pod(0, "a")).status == "invalid"
    assert added(Story().hpa(0, 1)).status == "invalid"


def test_too_few_pods_fail_once_the_bound_is_over() -> None:
    asked, ready = out(scaled(), wanted=4, within=60)
    assert (asked.status, asked.observed) == ("failed", "at most 3 pods asked for")
    assert (ready.status, ready.observed) == ("failed", "at most 3 pods ready")


def test_a_pod_that_is_on_its_way_out_does_not_count() -> None:
    story = scaled(ready=80).pod(38, "a", deleting=True)
    assert out(story, within=100)[1].status == "failed"


def test_what_was_seen_too_shortly_is_invalid() -> None:
    story = Story().hpa(0, 1).pod(0, "a").stage("step", 10, 20)
    assert statuses(out(story, within=30)) == ["invalid", "invalid"]
    assert "seen for 10.0 s only" in out(story, within=30)[0].observed


@pytest.mark.parametrize(
    "story",
    [
        Story().hpa(0, 1).pod(0, "a"),
        Story().hpa(0, 1).pod(0, "a").stage("step", 10, None),
        Story().pod(0, "a").stage("step", 10, 100),
        Story().hpa(0, 1).stage("step", 10, 100),
        Story().stage("step", 10, 100).hpa(11, 1).pod(11, "a").hpa(12, 3),
        scaled().hpa(5, 3),
        scaled().pod(1, "x").pod(2, "y"),
    ],
    ids=[
        "no stage",
        "no end",
        "no hpa",
        "no pods",
        "seen too late",
        "asked before",
        "there before",
    ],
)
def test_scaling_out_without_its_data_is_invalid(story: Story) -> None:
    assert statuses(out(story)) == ["invalid", "invalid"]


def test_scaling_in_passes_at_its_bound() -> None:
    check = back(scaled_in_again(at=270), within=70)
    assert (check.name, check.status, check.observed) == (
        "scaled in to 1 pod", "passed", "after 70.0 s",
    )  # fmt: skip


def test_scaling_in_fails_above_its_bound_and_when_it_never_comes() -> None:
    assert back(scaled_in_again(at=270.5), within=70).status == "failed"
    check = back(scaled().load(300), within=70)
    assert (check.status, check.observed) == ("failed", "3 pods still")


def test_more_that_is_still_asked_for_is_not_scaled_in() -> None:
    assert back(scaled_in_again(at=250).hpa(249.5, 2).load(300), within=70).status == "failed"


def test_where_nothing_was_scaled_out_nothing_is_scaled_in() -> None:
    check = back(Story().hpa(0, 1).pod(0, "a").stage("step", 10, 200).load(300))
    assert check.status == "failed"
    assert "nothing to scale in" in check.observed


@pytest.mark.parametrize(
    "story",
    [
        Story().hpa(0, 1).pod(0, "a"),
        Story().pod(0, "a").pod(1, "b").stage("step", 10, 100),
        Story().hpa(0, 1).stage("step", 10, 100),
        scaled().load(210),
    ],
    ids=["no stage", "no hpa", "no pods", "seen too shortly"],
)
def test_scaling_in_without_its_data_is_invalid(story: Story) -> None:
    assert back(story).status == "invalid"


def test_the_bound_of_scaling_in() -> None:
    assert scaling.scale_in_bound(stabilization=60, control_loop=15, scrape=10) == pytest.approx(
        93.5
    )


def test_the_maximum_holds_for_pods_and_for_what_is_asked() -> None:
    def status(story: Story) -> str:
        return scaling.within_maximum(story.timeline, scenario="ramp").status

    assert status(scaled().hpa(50, 4)) == "passed"
    assert status(scaled().hpa(50, 5)) == "failed"
    assert status(scaled().deployment(50, 5, 4)) == "failed"
    assert status(scaled().pod(50, "d").pod(51, "e")) == "failed"
    # A pod that goes leaves its place to another.
    assert status(scaled().pod(50, "d").pod(51, "a", deleting=True).pod(52, "e")) == "passed"
    assert status(Story().hpa(0, 1)) == status(Story().pod(0, "a")) == "invalid"


def test_at_the_end_everything_is_at_the_minimum() -> None:
    def check(story: Story) -> Check:
        return scaling.at_minimum(story.timeline, scenario="ramp")

    assert check(scaled_in_again()).status == "passed"
    still = check(scaled())
    assert (still.status, still.observed) == ("failed", "3 desired, 3 wanted, 3 there, 3 ready")
    assert check(scaled_in_again().pod(300, "a", ready=False)).status == "failed"
    assert check(scaled_in_again().hpa(300, 2)).status == "failed"
    assert check(Story().hpa(0, 1).pod(0, "a")).status == "invalid"


def test_pods_run_on_their_pool() -> None:
    def check(story: Story) -> Check:
        return scaling.on_pools(story.timeline, scenario="ramp", pools={"cpu"}, gpu_pools={"gpu"})

    assert check(scaled()).status == "passed"
    wrong = check(scaled().pod(50, "d", node="n2", pool="gpu"))
    assert (wrong.status, wrong.observed) == ("failed", "d on n2 (pool gpu)")
    assert check(scaled().pod(50, "d", pool="")).observed == "d on n1 (pool unknown)"
    assert check(Story().pod(0, "a", node="", pool="")).status == "invalid"
    gpus = {"requests": {"cpu": 0.1, "nvidia.com/gpu": 1}}
    assert check(Story().pod(0, "a", pool="gpu", **gpus)).status == "passed"
    assert check(Story().pod(0, "a", pool="cpu", **gpus)).status == "failed"


def test_restarts_are_counted_from_the_first_look() -> None:
    def check(story: Story) -> Check:
        return scaling.not_restarted(story.timeline, scenario="ramp")

    old = Story().pod(0, "a", restarts=2, created=T - 100)
    assert check(old).status == "passed"
    wrong = check(old.pod(5, "a", restarts=3, created=T - 100, reason="restarted after OOMKilled"))
    assert (wrong.status, wrong.observed) == ("failed", "a: 1 (restarted after OOMKilled)")
    assert check(Story().pod(0, "a").pod(9, "b", restarts=1, created=T + 3)).status == "failed"
    assert check(Story()).status == "invalid"


def test_a_pod_without_a_node_is_named_with_its_reason() -> None:
    def check(story: Story, within: float = 10) -> Check:
        return scaling.scheduled(story.timeline, scenario="ramp", within=within)

    assert check(scaled()).status == "passed"
    why = "Unschedulable: 3 Insufficient cpu."
    stuck = scaled().pod(50, "d", node="", ready=False, reason=why).pod(70, "d")
    found = check(stuck)
    assert (found.status, found.observed) == ("failed", f"d after 20.0 s: {why}")
    assert check(stuck, within=20).status == "passed"
    never = scaled().pod(50, "d", node="", ready=False)
    assert check(never).observed == "d after 150.0 s: no reason was given"
    assert check(Story()).status == "invalid"


def test_the_first_new_pod_and_the_floor_beside_it() -> None:
    floor = first_pod.Floor(scrape=5, control_loop=15, pod_start=4.5)
    assert floor.seconds == 24.5
    assert str(floor) == "24.5 s = scrape 5.0 s + control loop 15.0 s + pod start 4.5 s"
    assert first_pod.first_new_pod(scaled(ready=35.5).timeline, "step") == pytest.approx(24.5)
    # A pod that was there before is not new, whatever it does.
    old = scaled(ready=35.5).pod(12, "a", ready=False).pod(13, "a")
    assert first_pod.first_new_pod(old.timeline, "step") == pytest.approx(24.5)
    assert (
        first_pod.first_new_pod(Story().pod(0, "a").stage("step", 10, 90).timeline, "step") is None
    )
    assert first_pod.first_new_pod(Story().pod(0, "a").timeline, "step") is None


@pytest.mark.parametrize(
    "check",
    [scaling.within_maximum, scaling.at_minimum, scaling.not_restarted],
)
def test_an_empty_timeline_passes_nothing(check: Callable[..., Check]) -> None:
    assert check(Story().timeline, scenario="ramp").status == "invalid"
