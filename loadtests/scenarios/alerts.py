"""A faulty challenger is promoted: the alert must tell of it, and of its end after the rollback."""

from __future__ import annotations

from loadtests.challenger import faulty_challenger
from loadtests.checks import Check
from loadtests.data import CLASSIFIER
from loadtests.judge import alerts, requests
from loadtests.judge.alerts import course
from loadtests.load import Mix, Stage
from loadtests.loadtest import LoadTest
from loadtests.report.record import ON_PURPOSE
from loadtests.rules import shortened
from loadtests.scenarios.scenario import Scenario

_ALERT = "HighErrorRate"
# What fails as long as this costs error budget, too, and the challenger stands out in other ways.
_ALSO = frozenset({"ErrorBudgetBurn", "LatencyBudgetBurn", "AutoscalerAtMaximum"})
_RATE, _USERS = 15.0, 32
_BEFORE_SECONDS, _FOLLOW_SECONDS = 15.0, 10.0
_MOST_SECONDS = 400.0
# The error ratio is that of a window, which must have passed; production's is five minutes.
_WINDOW_SECONDS = 300.0
_MIX = Mix(predict=1.0, chat=0.0)


def _run(test: LoadTest) -> list[Check]:
    from mlflow import MlflowClient

    from kindling.model_registry import connect

    with shortened(test) as factor, faulty_challenger(MlflowClient(), CLASSIFIER) as version:
        rule = test.cluster[1].rule(_ALERT, model=CLASSIFIER)
        within = (_WINDOW_SECONDS / factor + rule.evaluation + rule.scrape) * 1.1 + rule.poll
        registry = connect()
        with test.load([Stage("traffic", _MOST_SECONDS, _RATE, _USERS)], _MIX):
            test.pause("traffic that nothing is wrong with", _BEFORE_SECONDS)
            began = test.act("promote", f"promote version {version}, which is faulty")
            move = registry.promote(CLASSIFIER, version)
            try:
                test.wait(
                    f"{_ALERT} at the receiver",
                    lambda: course(test.timeline, rule, began).told_firing,
                    seconds=2 * (rule.fires_within + rule.notified_within) + 30,
                )  # fmt: skip
            finally:
                ended = test.act("rollback", f"serve version {move.before} again")
                registry.undo(move)
            test.wait(
                f"the end of {_ALERT} at the receiver",
                lambda: course(test.timeline, rule, began).told_resolved,
                seconds=within + rule.notified_within + 30,
            )  # fmt: skip
    samples = test.samples
    fault = samples.between(began, ended + _FOLLOW_SECONDS)
    test.numbers[ON_PURPOSE] = int((fault.outcome == "failed").sum())
    calm = samples.between(ended + _FOLLOW_SECONDS, float("inf"))
    seen = course(test.timeline, rule, began)
    if seen.firing:
        test.numbers["alert_seconds"] = round(seen.firing.time - began, 1)
    name = SCENARIO.name
    return [
        *alerts.fired(test.timeline, rule, scenario=name, since=began),
        *alerts.resolved(
            test.timeline, rule, scenario=name, since=began, ended=ended, within=within
        ),
        alerts.no_other(test.timeline, scenario=name, since=began, allowed={_ALERT, *_ALSO}),
        requests.none_failed(calm, scenario=name),
        requests.none_wrong(calm, scenario=name),
    ]


SCENARIO = Scenario(
    "alerts",
    "Alerts",
    "A model version that fails on every real request is promoted and rolled back: the alert "
    "pends, fires, reaches the receiver, and resolves.",
    _run,
)
