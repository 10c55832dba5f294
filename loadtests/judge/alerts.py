"""Whether alerts told what was wrong, of its end, and of nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from loadtests.checks import Check
from loadtests.judge.seen import TOLERANCE, Verdicts, first, seconds
from loadtests.timeline import Moment, Timeline

# Labels that say which of several of one name it is.
_TELLING = ("namespace", "deployment", "pod", "node", "model", "job")
_LOOK = "nox -s alerts, and docs/runbooks/"
_SENDING = "nox -s alerts, and the logs of Alertmanager and its receiver"


@dataclass(frozen=True)
class Rule:
    """An alert, and the intervals that bound how soon it is told of; all in seconds."""

    alert: str
    wait: float
    evaluation: float
    scrape: float
    group_wait: float
    group_interval: float
    poll: float = 1.0
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def fires_within(self) -> float:
        """From when the condition was first true to when the poll sees it fire."""
        return (self.wait + self.evaluation + self.scrape) * TOLERANCE + self.poll

    @property
    def notified_within(self) -> float:
        """From a change of state to the receiver: a group that exists waits its interval."""
        longest = max(self.group_wait, self.group_interval)
        return (longest + self.evaluation) * TOLERANCE + self.poll

    def of(self, moments: list[Moment]) -> list[Moment]:
        """Those of this alert with these labels."""
        return [
            one
            for one in moments
            if one.name == self.alert and self.labels.items() <= one.fields["labels"].items()
        ]


@dataclass(frozen=True)
class Course:
    """When an alert went through each of its states, as far as it did."""

    pending: Moment | None
    firing: Moment | None
    told_firing: Moment | None
    inactive: Moment | None
    told_resolved: Moment | None


def course(timeline: Timeline, rule: Rule, since: float) -> Course:
    """What became of an alert after ``since``."""
    states = rule.of(timeline.of("alert", since=since))
    told = rule.of(timeline.of("notification", since=since))
    firing = first(states, lambda one: one.fields["state"] == "firing")
    after = firing.time if firing else float("inf")
    return Course(
        first(states, lambda one: one.fields["state"] == "pending"),
        firing,
        first(told, lambda one: one.fields["status"] == "firing"),
        first(states, lambda one: one.time >= after and one.fields["state"] == "inactive"),
        first(told, lambda one: one.time >= after and one.fields["status"] == "resolved"),
    )


def fired(timeline: Timeline, rule: Rule, *, scenario: str, since: float) -> list[Check]:
    """After ``since``, when its cause began, the alert pended, fired in time, and was notified."""
    make, name = Verdicts(scenario), rule.alert
    names = f"{name} pended", f"{name} fired in time", f"{name} was notified"
    if why := _unfit(timeline, rule, since):
        return [make.invalid(one, why, expected=name) for one in names]
    seen = course(timeline, rule, since)
    states = [one.fields["state"] for one in rule.of(timeline.of("alert", since=since))]
    pending, firing, told = seen.pending, seen.firing, seen.told_firing
    checks = [
        make(
            names[0], pending is not None, expected="pending after its cause",
            observed=f"after {seconds(pending.time - since)}" if pending else _states(states),
            hint=_LOOK,
        )
    ]  # fmt: skip
    late = firing.time - firing.fields["active_at"] if firing else float("inf")
    checks.append(
        make(
            names[1], late <= rule.fires_within,
            expected=f"firing {seconds(rule.wait)} after it was first true",
            observed=f"after {seconds(late)}" if firing else _states(states),
            bound=f"≤ {seconds(rule.fires_within)}", hint=_LOOK,
        )
    )  # fmt: skip
    delay = told.time - firing.time if told and firing else float("inf")
    checks.append(
        make(
            names[2], delay <= rule.notified_within, expected="at the receiver, as firing",
            observed=f"{seconds(max(0.0, delay))} after it fired" if told and firing else "not",
            bound=f"≤ {seconds(rule.notified_within)}", hint=_SENDING,
        )
    )  # fmt: skip
    return checks


def resolved(
    timeline: Timeline, rule: Rule, *, scenario: str, since: float, ended: float, within: float
) -> list[Check]:
    """The alert that fired after ``since`` was over ``within`` s of ``ended``, and that was told.

    ``ended`` is when the cause was taken away. The last of the checks is that of the order.
    """
    make, name = Verdicts(scenario), rule.alert
    names = f"{name} resolved", f"{name} was notified as resolved", f"{name} went in order"
    seen = course(timeline, rule, since)
    if why := _unfit(timeline, rule, since):
        return [make.invalid(one, why, expected=name) for one in names]
    over, told = seen.inactive, seen.told_resolved
    took = over.time - ended if over else float("inf")
    checks = [
        make(
            names[0], 0 <= took <= within, expected="inactive after its cause had ended",
            observed="not" if over is None else f"{seconds(took)} after the end",
            bound=f"≤ {seconds(within)}", hint=_LOOK,
        )
    ]  # fmt: skip
    delay = told.time - over.time if told and over else float("inf")
    checks.append(
        make(
            names[1], delay <= rule.notified_within, expected="at the receiver, as resolved",
            observed=f"{seconds(max(0.0, delay))} after its end" if told and over else "not",
            bound=f"≤ {seconds(rule.notified_within)}", hint=_SENDING,
        )
    )  # fmt: skip
    steps = {
        "pending": seen.pending, "firing": seen.firing, "notified": seen.told_firing,
        "inactive": over, "notified as resolved": told,
    }  # fmt: skip
    times = [one.time for one in steps.values() if one]
    # What a poll saw has happened up to one poll before.
    ordered = all(b >= a - rule.poll for a, b in pairwise(times))
    found = sorted((one.time, what) for what, one in steps.items() if one)
    checks.append(
        make(
            names[2], ordered and len(times) == len(steps), expected=", ".join(steps),
            observed=", ".join(what for _, what in found) or "nothing", hint=_LOOK,
        )
    )  # fmt: skip
    return checks


def no_other(
    timeline: Timeline,
    *,
    scenario: str,
    since: float,
    allowed: Collection[str] = (),
    watchdog: str = "Watchdog",
) -> Check:
    """After ``since`` no alert began to fire but those ``allowed`` and the one that always does.

    What fired already is no consequence of the run, but is named.
    """
    make = Verdicts(scenario)
    name, fine = "no other alert fired", {watchdog, *allowed}
    expected = f"only {', '.join(sorted(fine))}"
    firing = [one for one in timeline.of("alert") if one.fields["state"] == "firing"]
    if watchdog not in {one.name for one in firing}:
        why = f"{watchdog} did not fire: are rules evaluated?"
        return make.invalid(name, why, expected=expected)
    others = [one for one in firing if one.name not in fine]
    already = _at_first(timeline)
    new = sorted(
        {_named(one) for one in others if one.time >= since and _labels(one) not in already}
    )
    before = sorted({_named(one) for one in others if one.time < since})
    observed = "; ".join(new) or "none"
    if before:
        observed += f" (before the run: {'; '.join(before)})"
    return make(name, not new, expected=expected, observed=observed, hint=_LOOK)


def budget_untouched(max_failures_per_second: float | None, *, scenario: str) -> Check:
    """Failures on purpose are in no error budget: its alerts would tell of them for three days."""
    make, name, expected = Verdicts(scenario), "the error budget is untouched", "no failure counted"
    if max_failures_per_second is None:
        return make.invalid(name, "Prometheus recorded no requests", expected=expected)
    observed = f"{max_failures_per_second:.2g} failures/s at most"
    return make(
        name, max_failures_per_second == 0, expected=expected, observed=observed, hint=_LOOK
    )


def _at_first(timeline: Timeline) -> set[frozenset[tuple[str, str]]]:
    """The labels of alerts that fired when observing began.

    They may be seen to begin once more: rules with other windows begin to pend anew.
    """
    seeing = first(timeline.of("observer", "alert"), lambda one: one.fields["state"] == "connected")
    return {
        _labels(one)
        for one in timeline.of("alert", until=seeing.time if seeing else 0.0)
        if one.fields["state"] == "firing"
    }


def _labels(alert: Moment) -> frozenset[tuple[str, str]]:
    return frozenset(alert.fields["labels"].items())


def _named(alert: Moment) -> str:
    labels = alert.fields["labels"]
    return " ".join([alert.name, *(labels[key] for key in _TELLING if key in labels)])


def _unfit(timeline: Timeline, rule: Rule, since: float) -> str:
    """Why the timeline cannot tell of the alert, or empty."""
    if not timeline.of("alert"):
        return "alerts were not observed"
    if not any(
        one.fields["state"] == "connected" for one in timeline.of("observer", "notification")
    ):
        return "notifications were not observed"
    before = rule.of(timeline.of("alert", until=since))
    if before and before[-1].fields["state"] != "inactive" and before[-1].time < since:
        return f"{rule.alert} was {before[-1].fields['state']} before its cause"
    return ""


def _states(states: list[str]) -> str:
    return " then ".join(states) or "inactive throughout"
