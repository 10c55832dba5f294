"""A faulty challenger is promoted: the alert must tell of it, and of its end after the rollback."""

from __future__ import annotations

import dataclasses
import urllib.request

from kindling import web
from kindling.errors import KindlingError
from kindling.prometheus import Prometheus
from loadtests import clock
from loadtests.challenger import MODEL, Versions, faulty_challenger
from loadtests.checks import Check
from loadtests.data import CLASSIFIER, Data
from loadtests.judge import alerts, requests
from loadtests.judge.alerts import course
from loadtests.load import Mix, Stage
from loadtests.loadtest import LoadTest
from loadtests.report.record import ON_PURPOSE
from loadtests.rules import shortened
from loadtests.scenarios.scenario import Scenario

_ALERT = "HighErrorRate"
# The load is small, but a slow machine may have all its pods for a tenth of this alert's wait.
_ALSO = frozenset({"AutoscalerAtMaximum"})
_RATE, _USERS = 15.0, 32
_BEFORE_SECONDS, _FOLLOW_SECONDS = 15.0, 10.0
_MAX_SECONDS = 400.0
# The error ratio is that of a window, which must have passed; production's is five minutes.
_WINDOW_SECONDS = 300.0
_SERVED_TIMEOUT_SECONDS = 90.0
# Each on a connection of its own, so that every pod gets some.
_SERVED_REQUESTS = 8
_REQUEST_TIMEOUT_SECONDS = 5.0
_MIX = Mix(predict=1.0, chat=0.0)


def _run(test: LoadTest) -> list[Check]:
    from mlflow import MlflowClient

    from kindling.model_registry import connect

    with shortened(test) as factor, faulty_challenger(MlflowClient(), CLASSIFIER) as versions:
        data = _data(test.data, versions)
        _wait_until_served(test)
        rule = test.cluster[1].rule(_ALERT, model=MODEL)
        within = (_WINDOW_SECONDS / factor + rule.evaluation + rule.scrape) * 1.1 + rule.poll
        registry = connect()
        with test.load([Stage("traffic", _MAX_SECONDS, _RATE, _USERS)], _MIX, data=data):
            test.pause("traffic that nothing is wrong with", _BEFORE_SECONDS)
            began = test.act("promote", f"promote version {versions.faulty}, which is faulty")
            move = registry.promote(MODEL, versions.faulty)
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
        budget = _budget(test, began)
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
        budget,
        requests.none_failed(calm, scenario=name),
        requests.none_wrong(calm, scenario=name),
    ]


def _data(known: Data, versions: Versions) -> Data:
    """What the copy of the champion responds: what the champion itself does."""
    labels = known.labels_of.get(versions.source)
    labels_of = {versions.sound: labels} if labels else {}
    return dataclasses.replace(known, classifier=MODEL, labels_of=labels_of)


def _wait_until_served(test: LoadTest) -> None:
    def is_served() -> bool:
        return all(_is_ready(test.url) for _ in range(_SERVED_REQUESTS))

    if not test.wait(f"{MODEL} to be served", is_served, seconds=_SERVED_TIMEOUT_SECONDS):
        raise KindlingError(
            f"the service does not serve {MODEL}, the load test's own model: it serves no model"
            " that is not configured, or as many as it may",
            next_step="raise serving_values.registry.others, then nox -s cluster-up",
        )


def _is_ready(url: str) -> bool:
    # A prediction would be refused with 503 while the model loads, and count as an error.
    request = urllib.request.Request(
        f"{url}/v2/models/{MODEL}/ready", headers={"Connection": "close"}
    )
    try:
        with web.without_proxy().open(request, timeout=_REQUEST_TIMEOUT_SECONDS) as response:
            return bool(response.status == 200)
    except web.NO_ANSWER:
        return False


def _budget(test: LoadTest, began: float) -> Check:
    """What Prometheus has recorded of the error budget since ``began``."""
    environment, _ = test.cluster
    series = f'namespace:llm_request_errors:rate5m{{namespace="{environment.namespace}"}}'
    window = f"{clock.now() - began:.0f}s"
    rate = Prometheus(environment.prometheus_url).value(f"max_over_time({series}[{window}])")
    return alerts.budget_untouched(rate, scenario=SCENARIO.name)


SCENARIO = Scenario(
    "alerts",
    "Alerts",
    "A version of a model of the load test's own that fails on every real request is promoted and "
    "rolled back: the alert pends, fires, reaches the receiver, and resolves.",
    _run,
)
