"""More load than one pod can take, then less again: pods come and go, and nobody is turned away."""

from __future__ import annotations

from itertools import chain

from loadtests.autoscaler import wait_at_minimum
from loadtests.checks import Check
from loadtests.judge import requests, scaling
from loadtests.judge.first_pod import first_new_pod
from loadtests.judge.requests import Window
from loadtests.judge.seen import seconds, stage
from loadtests.load import Stage
from loadtests.loadtest import LoadTest
from loadtests.mix import BUSY
from loadtests.scenarios.scenario import Scenario

# How many pods are wanted, where the autoscaler may have so many.
_PODS = 4
# So much more than the pods want in flight is under way at once.
_BEYOND = 1.25
_USUAL_TARGET = 4.0
_IN_FLIGHT = "http_requests_in_flight"
# Of what the pods answered under more load than they take, what they are asked for then.
_STEADY_SHARE = 0.6
_BASE_SECONDS, _STEP_SECONDS, _STEADY_SECONDS = 12.0, 70.0, 30.0
_BASE_RATE = 2.0
_SETTLE_SECONDS = 5.0
_OUT_SECONDS = 45.0
_SCHEDULE_SECONDS = 10.0
# Pods that get no load add nothing. Where all cores are busy already, they cannot add much.
_LEAST_EFFICIENCY = 0.15


def _run(test: LoadTest) -> list[Check]:
    environment, described = test.cluster
    wanted = max(environment.minimum + 1, min(environment.maximum, _PODS))
    users = round(wanted * _target(described.about) * _BEYOND)
    wait_at_minimum(environment)
    test.say(f"{users} users at once: {wanted} pods are wanted")
    test.drive(
        [
            Stage("base", _BASE_SECONDS, _BASE_RATE, users),
            Stage("step", _STEP_SECONDS, None, users),
        ],
        BUSY,
    )
    full = requests.steady(test.timeline, stage_name="step", wanted=wanted, settle=_SETTLE_SECONDS)
    samples = test.samples
    answered = requests.answered_rate(samples, full) if not full.missing else _BASE_RATE
    rate = max(_BASE_RATE, round(answered * _STEADY_SHARE, 1))
    within = scaling.scale_in_bound(
        stabilization=described.intervals.stabilization,
        control_loop=described.intervals.control_loop or 15.0,
        scrape=described.intervals.oldest_metric,
    )
    test.say(f"{rate:g} requests/s, whatever is answered; then {_BASE_RATE:g}")
    test.drive(
        [
            Stage("steady", _STEADY_SECONDS, rate, users * 2),
            Stage("less", within + _SCHEDULE_SECONDS, _BASE_RATE, users),
        ],
        BUSY,
    )
    wait_at_minimum(environment)
    return _judge(test, wanted, full, rate, within)


def _judge(test: LoadTest, wanted: int, full: Window, rate: float, within: float) -> list[Check]:
    timeline, samples, name = test.timeline, test.samples, SCENARIO.name
    alone, environment = _alone(test), test.cluster[0]
    steady = requests.steady(timeline, stage_name="steady", wanted=wanted, settle=2.0)
    first = first_new_pod(timeline, "step")
    if first is not None:
        test.numbers["scale_out_seconds"] = round(first, 2)
    if not full.missing:
        test.numbers["answers_per_second"] = round(requests.answered_rate(samples, full), 1)
    return list(
        chain(
            scaling.scaled_out(
                timeline, scenario=name, stage_name="step", wanted=wanted, within=_OUT_SECONDS
            ),
            [
                scaling.within_maximum(timeline, scenario=name),
                scaling.on_pools(
                    timeline, scenario=name, pools=environment.pools,
                    gpu_pools=environment.gpu_pools,
                ),
                scaling.scheduled(timeline, scenario=name, within=_SCHEDULE_SECONDS),
                scaling.not_restarted(timeline, scenario=name),
                requests.none_failed(samples, scenario=name),
                requests.none_wrong(samples, scenario=name),
                requests.latency(samples, steady, scenario=name, slo=requests.SLO_P95_SECONDS),
                requests.achieved(samples, steady, scenario=name, asked=rate),
                requests.efficiency(
                    samples, alone, full, scenario=name, at_least=_LEAST_EFFICIENCY
                ),
                scaling.scaled_in(
                    timeline, scenario=name, stage_name="steady",
                    wanted=environment.minimum, within=within,
                ),
                scaling.at_minimum(timeline, scenario=name),
            ],
        )
    )  # fmt: skip


def _alone(test: LoadTest) -> Window:
    """While the load was there already, and the new pods were not."""
    step, first = stage(test.timeline, "step"), first_new_pod(test.timeline, "step")
    if step is None or first is None:
        return Window(0, 0, 1, "no pod was added")
    name = f"the {seconds(first - 1.0)} of step before a new pod"
    return Window(step.begin + 1.0, step.begin + first, test.cluster[0].minimum, name=name)


def _target(about: object) -> float:
    """Requests in flight per pod that the autoscaler aims at."""
    assert isinstance(about, dict)
    for metric in about["autoscaler"]["metrics"]:
        pods = metric.get("pods", {})
        if pods.get("metric", {}).get("name") == _IN_FLIGHT:
            return float(pods["target"]["averageValue"])
    return _USUAL_TARGET


SCENARIO = Scenario(
    "scale",
    "Scaling",
    "More requests at once than one pod is to have, then as many as the pods can take, then few: "
    "pods are added, share the load, and are taken away again, and no request fails.",
    _run,
)
