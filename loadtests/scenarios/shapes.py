"""Load of one shape, and nothing done to the environment: on a cluster, or on any target."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from loadtests.checks import Check
from loadtests.judge import requests
from loadtests.judge.requests import Window
from loadtests.judge.seen import seconds, stage
from loadtests.load import Mix, shape
from loadtests.loadtest import LoadTest
from loadtests.scenarios.scenario import Scenario

_RATE, _USERS = 10.0, 64
_DESCRIPTIONS = {
    "smoke": "A little load, to see whether the service answers right.",
    "step": "Little load, then all of it at once.",
    "ramp": "More load in ten steps.",
    "soak": "The same load for long: what leaks shows.",
    "spike": "Little load, a short spike of all of it, and little again.",
}


def _run(test: LoadTest, name: str) -> list[Check]:
    options = test.options
    closed = options.users is not None and options.rate is None
    stages = shape(
        name,
        seconds=options.seconds,
        rate=None if closed else options.rate or _RATE,
        users=options.users or _USERS,
    )
    test.drive(stages, Mix())
    samples = test.samples
    checks = [
        requests.none_failed(samples, scenario=name),
        requests.none_wrong(samples, scenario=name),
    ]
    for one in stages:
        seen = stage(test.timeline, one.name)
        if one.rate is None or seen is None:
            continue
        name_of_window = f"all {seconds(seen.end - seen.begin)} of {one.name}"
        window = Window(seen.begin, seen.end, 1, name=name_of_window)
        own = samples.between(seen.begin, seen.end)
        latency = requests.latency(own, window, scenario=name, slo=requests.SLO_P95_SECONDS)
        achieved = requests.achieved(own, window, scenario=name, asked=one.rate)
        # How many pods there are is not this scenario's affair.
        checks += [
            replace(latency, name=f"{one.name}: {latency.name}", expected=window.of("p95")),
            replace(achieved, name=f"{one.name}: {achieved.name}"),
        ]
    return checks


SCENARIOS = [
    Scenario(name, name.capitalize(), text, partial(_run, name=name), needs_cluster=False)
    for name, text in _DESCRIPTIONS.items()
]
