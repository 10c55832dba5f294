"""Checks of alerts and observers: they pass, fail at their bound, never pass for want of data."""

from __future__ import annotations

from typing import Any

import pytest
from made_timelines import Story, T

from loadtests.checks import Check
from loadtests.judge import alerts, sight
from loadtests.judge.alerts import Rule

# Fires within (30 + 5 + 5) * 1.1 + 1 = 45 s; is notified within (10 + 5) * 1.1 + 1 = 17.5 s.
RULE = Rule(
    "HighErrorRate", wait=30, evaluation=5, scrape=5, group_wait=5, group_interval=10,
    labels={"model": "digits"},
)  # fmt: skip
WATCHDOG = {"alertname": "Watchdog"}
TEXT = {"alertname": "HighErrorRate", "model": "text"}


def watched() -> Story:
    return Story().observer(-1, "notification", "connected").alert(-1, "firing", -99, **WATCHDOG)


def course(**changed: float | None) -> Story:
    """The cause comes at 10 s and goes at 100 s."""
    times: dict[str, Any] = {
        "pending": 20, "firing": 55, "told": 62, "inactive": 130, "told_resolved": 140, **changed
    }  # fmt: skip
    story = watched()
    for state in ("pending", "firing", "inactive"):
        if times[state] is not None:
            story.alert(times[state], state, active_at=20)
    for name, status in (("told", "firing"), ("told_resolved", "resolved")):
        if times[name] is not None:
            story.notification(times[name], status)
    return story


def fired(story: Story) -> list[Check]:
    return alerts.fired(story.timeline, RULE, scenario="errors", since=T + 10)


def resolved(story: Story) -> list[Check]:
    return alerts.resolved(
        story.timeline, RULE, scenario="errors", since=T + 10, ended=T + 100, within=40
    )


def statuses(checks: list[Check]) -> list[str]:
    return [check.status for check in checks]


def test_the_bounds_are_those_of_the_intervals() -> None:
    assert RULE.fires_within == pytest.approx(45)
    assert RULE.notified_within == pytest.approx(17.5)


def test_a_whole_course_passes() -> None:
    assert statuses(fired(course())) == ["passed"] * 3
    assert statuses(resolved(course())) == ["passed"] * 3
    assert [check.name for check in fired(course()) + resolved(course())] == [
        "HighErrorRate pended", "HighErrorRate fired in time", "HighErrorRate was notified",
        "HighErrorRate resolved", "HighErrorRate was notified as resolved",
        "HighErrorRate went in order",
    ]  # fmt: skip


def test_at_the_bounds_it_passes_and_above_it_fails() -> None:
    assert statuses(fired(course(firing=64.9, told=82.3))) == ["passed"] * 3
    assert statuses(fired(course(firing=65.1, told=82.3))) == ["passed", "failed", "passed"]
    assert statuses(fired(course(told=72.6))) == ["passed", "passed", "failed"]
    assert statuses(resolved(course(inactive=140, told_resolved=157.4))) == ["passed"] * 3
    assert statuses(resolved(course(inactive=140.2, told_resolved=150)))[0] == "failed"
    assert statuses(resolved(course(told_resolved=147.6)))[1] == "failed"


@pytest.mark.parametrize(
    ("missing", "found"),
    [
        ("pending", ["failed", "passed", "passed"]),
        ("firing", ["passed", "failed", "failed"]),
        ("told", ["passed", "passed", "failed"]),
    ],
)
def test_what_did_not_happen_fails(missing: str, found: list[str]) -> None:
    assert statuses(fired(course(**{missing: None}))) == found
    assert statuses(resolved(course(**{missing: None})))[2] == "failed"


def test_an_alert_that_stays_fails() -> None:
    assert statuses(resolved(course(inactive=None, told_resolved=None))) == ["failed"] * 3
    assert statuses(resolved(course(told_resolved=None))) == ["passed", "failed", "failed"]


def test_one_that_ends_before_its_cause_does_fails() -> None:
    assert statuses(resolved(course(inactive=90)))[0] == "failed"


def test_the_order_is_looked_at() -> None:
    # Told before it fired: only by less than a poll can that be.
    assert statuses(resolved(course(told=54.5)))[2] == "passed"
    wrong = resolved(course(told=50))[2]
    assert (wrong.status, wrong.observed) == (
        "failed", "pending, notified, firing, inactive, notified as resolved",
    )  # fmt: skip


def test_the_alert_of_another_model_is_another() -> None:
    story = watched().alert(20, "pending", 20, **TEXT).alert(55, "firing", 20, **TEXT)
    assert statuses(fired(story)) == ["failed"] * 3


@pytest.mark.parametrize(
    "story",
    [
        Story(),
        Story().observer(-1, "notification", "connected"),
        Story().alert(20, "pending", 20).alert(55, "firing", 20).notification(60, "firing"),
        course().alert(0, "firing", -30),
    ],
    ids=["nothing", "no alerts", "no receiver", "fired before"],
)
def test_without_its_data_it_is_invalid(story: Story) -> None:
    assert statuses(fired(story)) == statuses(resolved(story)) == ["invalid"] * 3


def test_no_other_alert() -> None:
    def check(story: Story, *allowed: str) -> Check:
        return alerts.no_other(story.timeline, scenario="errors", since=T, allowed=allowed)

    assert check(watched()).status == "passed"
    assert check(watched().alert(20, "pending", 20)).status == "passed"
    found = check(watched().alert(20, "firing", 20))
    assert (found.status, found.observed) == ("failed", "HighErrorRate digits")
    assert check(watched().alert(20, "firing", 20), "HighErrorRate").status == "passed"
    before = check(watched().alert(-1, "firing", -60))
    assert (before.status, before.observed) == (
        "passed", "none (before the run: HighErrorRate digits)",
    )  # fmt: skip
    # Without the watchdog nobody knows whether any alert could have fired.
    assert check(Story()).status == "invalid"
    assert check(Story().alert(20, "firing", 20), "HighErrorRate").status == "invalid"


@pytest.mark.parametrize(("rate", "status"), [(0.0, "passed"), (0.01, "failed"), (None, "invalid")])
def test_no_failure_on_purpose_may_be_in_the_error_budget(rate: float | None, status: str) -> None:
    assert alerts.budget_untouched(rate, scenario="errors").status == status


def test_what_fired_when_observing_began_may_begin_again() -> None:
    def check(story: Story) -> Check:
        again = story.alert(10, "inactive", -60).alert(20, "firing", 15)
        return alerts.no_other(again.timeline, scenario="errors", since=T)

    early = watched().alert(-5, "firing", -60).observer(-4, "alert", "connected")
    found = check(early)
    assert (found.status, found.observed) == (
        "passed", "none (before the run: HighErrorRate digits)",
    )  # fmt: skip
    during = watched().observer(-4, "alert", "connected").alert(-3, "firing", -3)
    assert check(during).status == "failed"
    assert check(early.alert(21, "firing", 21, **TEXT)).status == "failed"


def test_the_run_was_seen() -> None:
    def check(story: Story, *names: str) -> Check:
        return sight.seen_throughout(
            story.timeline, scenario="r", names=names or ["pod"], begin=T, end=T + 100,
            most_seconds=10,
        )  # fmt: skip

    seen = Story().observer(-1, "pod", "connected")
    assert check(seen).status == "passed"
    assert check(seen, "pod", "hpa").observed == "blind: hpa for 100.0 s"
    seen.observer(40, "pod", "lost").observer(50, "pod", "again")
    assert (check(seen).status, check(seen).observed) == ("passed", "10.0 s at most (pod)")
    assert check(seen.observer(89, "pod", "lost")).status == "invalid"
    late = Story().observer(11, "pod", "connected")
    assert check(late).status == "invalid"
    longer = Story().observer(-9, "pod", "connected").observer(40, "pod", "lost")
    assert check(longer.observer(50.5, "pod", "again")).status == "invalid"
    none = sight.seen_throughout(
        seen.timeline, scenario="r", names=[], begin=T, end=T + 1, most_seconds=1
    )
    assert none.status == "invalid"
