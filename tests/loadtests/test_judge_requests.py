"""Checks of requests: they pass, fail at their bound, and never pass for want of data."""

from __future__ import annotations

from dataclasses import replace

from made_timelines import Story, T, samples, scaled, together

from loadtests.checks import Check
from loadtests.judge import requests
from loadtests.judge.requests import Window
from loadtests.samples import Samples

NONE = samples()
WINDOW = Window(T, T + 20, 3)
MISSING = Window(0, 0, 3, "3 pods not ready at the end of step")


def steadily(took: float, *, per_second: int = 10, begin: float = 0, seconds: int = 20) -> Samples:
    number = per_second * seconds
    return samples(*((begin + n / per_second, took) for n in range(number)))


def test_no_request_failed_and_none_was_wrong() -> None:
    for check in (requests.none_failed, requests.none_wrong):
        assert check(steadily(0.1), scenario="ramp").status == "passed"
        assert check(NONE, scenario="ramp").status == "invalid"


def test_what_failed_is_told_by_reason() -> None:
    failed = samples((3, 0.1), (4, 0.1), outcome="failed", reason="503", status=503)
    mixed = together(steadily(0.1), failed)
    check = requests.none_failed(mixed, scenario="ramp")
    assert (check.status, check.observed) == ("failed", "2 of 202 failed: predict 503: 2")
    assert requests.none_wrong(mixed, scenario="ramp").status == "passed"
    wrong = together(steadily(0.1), samples((3, 0.1), outcome="wrong", reason="class 3, not 4"))
    assert requests.none_wrong(wrong, scenario="ramp").status == "failed"
    assert requests.none_failed(wrong, scenario="ramp").status == "passed"


def p95(found: Samples, window: Window = WINDOW) -> Check:
    return requests.latency(found, window, scenario="ramp", slo=0.5)


def test_the_p95_passes_at_the_objective_and_fails_above() -> None:
    passed = p95(steadily(0.4999))
    assert (passed.status, passed.bound) == ("passed", "≤ 500 ms")
    assert p95(steadily(0.501)).status == "failed"
    slow = [(n / 10, 0.9) for n in range(20)]
    # 20 of 420 are less than one in twenty; 40 of 220 are more.
    assert p95(together(steadily(0.1, per_second=20), samples(*slow))).status == "passed"
    assert p95(together(steadily(0.1, per_second=9), samples(*slow))).status == "failed"


def test_few_requests_pass_nothing_but_fail_where_half_are_too_slow() -> None:
    def few(many: int, seconds: float) -> Check:
        return p95(samples(*((n / 10, seconds) for n in range(many))))

    assert few(99, 0.1).status == "invalid"
    assert few(100, 0.1).status == "passed"
    assert (few(20, 0.9).status, few(20, 0.9).observed) == ("failed", "900 ms of 20 requests")
    assert few(19, 0.9).status == "invalid"
    mixed = together(samples((0, 0.9)), samples(*((n / 10, 0.1) for n in range(50))))
    assert p95(mixed).status == "invalid"


def test_requests_that_failed_fast_do_not_lower_the_p95() -> None:
    failed = samples(*((n / 10, 0.001) for n in range(40)), outcome="failed")
    check = p95(together(steadily(0.1, per_second=8), failed))
    assert (check.status, check.observed) == ("failed", "no answer of 200 requests")


def test_the_p95_is_of_the_window_alone() -> None:
    before = steadily(3.0, begin=-20)
    assert p95(together(before, steadily(0.1))).status == "passed"


def test_a_figure_names_its_window() -> None:
    window = replace(WINDOW, name="the last 20.0 s of step")
    assert p95(steadily(0.1), window).expected == "p95 with 3 pods over the last 20.0 s of step"
    check = requests.achieved(steadily(0.0), window, scenario="ramp", asked=10)
    assert check.expected == "10.0 requests/s over the last 20.0 s of step"
    assert p95(steadily(0.1), MISSING).expected == "p95 with 3 pods"


def test_a_p95_without_its_data_is_invalid() -> None:
    assert p95(NONE).status == "invalid"
    assert p95(steadily(0.1, per_second=4)).status == "invalid"
    check = p95(steadily(0.1), MISSING)
    assert (check.status, check.observed) == ("invalid", MISSING.missing)


def test_steady_begins_when_the_pods_have_been_ready_for_a_while() -> None:
    def window(story: Story, wanted: int = 3, settle: float = 5) -> Window:
        return requests.steady(story.timeline, stage_name="step", wanted=wanted, settle=settle)

    found = window(scaled(ready=40))
    assert found.name == "the last 155.0 s of step"
    assert (found.begin - T, found.end - T, found.missing) == (45.0, 200.0, "")
    assert window(scaled(ready=40), wanted=1).begin == T + 10
    lost = scaled(ready=40).pod(60, "b", ready=False).pod(70, "b")
    assert window(lost).begin == T + 75
    assert window(scaled(ready=40).pod(60, "b", ready=False)).missing
    assert window(scaled(), wanted=4).missing == "4 pods not ready at the end of step"
    assert "only 4.0 s before" in window(scaled(ready=196)).missing
    assert window(Story()).missing == "the stage step has no begin or no end"
    assert window(Story().stage("step", 10, 200)).missing
    assert window(scaled(ready=210)).missing


def test_what_was_asked_was_answered() -> None:
    def check(found: Samples, window: Window = WINDOW, asked: float = 10) -> Check:
        return requests.achieved(found, window, scenario="ramp", asked=asked)

    passed = check(steadily(0.0))
    assert (passed.status, passed.observed) == ("passed", "10.0 requests/s (100%)")
    assert check(steadily(0.0, seconds=19)).status == "passed"
    assert check(together(steadily(0.0, seconds=18), samples((19, 0)))).status == "failed"
    # What failed was not answered, and what ended later was answered later.
    assert check(samples(*((n / 10, 0) for n in range(200)), outcome="failed")).status == "failed"
    assert check(steadily(2.0)).status == "failed"
    assert check(NONE).status == "invalid"
    assert check(steadily(0.0), MISSING).status == "invalid"
    assert check(steadily(0.0), asked=0).status == "invalid"


def test_added_pods_add_requests() -> None:
    before, after = Window(T, T + 20, 1), Window(T + 30, T + 50, 3)

    def check(second: int, first: int = 10, before: Window = before) -> Check:
        found = together(
            steadily(0.0, per_second=first), steadily(0.0, per_second=second, begin=30)
        )
        return requests.efficiency(found, before, after, scenario="ramp", at_least=0.5)

    passed = check(20)
    assert passed.status == "passed"
    assert passed.observed == (
        "5.0 requests/s (50%): 10.0 with 1 over 20.0 s, 20.0 with 3 pods over 20.0 s"
    )
    assert passed.expected == "10.0 requests/s for each added pod"
    assert check(19).status == "failed"
    assert check(20, before=MISSING).status == "invalid"
    assert check(20, before=Window(T, T + 20, 3)).status == "invalid"
    assert requests.efficiency(NONE, before, after, scenario="r", at_least=0.5).status == "invalid"
