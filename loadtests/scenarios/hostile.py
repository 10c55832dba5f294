"""A thousand clients keep the service waiting: all others are answered, and no pod is added."""

from __future__ import annotations

import json
import subprocess
import sys
from urllib.parse import urlsplit

from kindling import paths
from kindling.errors import KindlingError
from loadtests.autoscaler import wait_at_minimum
from loadtests.checks import Check
from loadtests.hostile import IDLE, Kept
from loadtests.judge import requests, scaling
from loadtests.judge.requests import Window
from loadtests.judge.seen import Verdicts, stage
from loadtests.load import Mix, Stage
from loadtests.loadtest import LoadTest
from loadtests.scenarios.scenario import Scenario

_CONNECTIONS, _SECONDS = 1000, 60.0
_RATE, _USERS = 20.0, 64
_BEFORE_SECONDS, _AFTER_SECONDS = 5.0, 15.0
_STAGE = "others"
_MIX = Mix(predict=0.9, chat=0.1)


def _run(test: LoadTest) -> list[Check]:
    environment, _ = test.cluster
    wait_at_minimum(environment)
    whole = _BEFORE_SECONDS + _SECONDS + _AFTER_SECONDS
    with test.load([Stage(_STAGE, whole, _RATE, _USERS)], _MIX) as load:
        test.pause("requests that nobody disturbs", _BEFORE_SECONDS)
        test.act("hostile clients", f"{_CONNECTIONS} connections that keep the service waiting")
        clients = _keep(test.url)
        test.act("hostile clients gone", "they are gone")
        test.wait("the end of the load", lambda: not load.running, seconds=_AFTER_SECONDS + 60)
        load.wait(0)
    seen, name = stage(test.timeline, _STAGE), SCENARIO.name
    begin, end = (seen.begin, seen.end) if seen else (0.0, float("inf"))
    samples = test.samples.between(begin, end)
    window = Window(begin, end, environment.minimum)
    test.numbers["hostile_connections"] = sum(one["begun"] for one in clients.kinds.values())
    return [
        were_there(clients),
        requests.none_failed(samples, scenario=name),
        requests.none_wrong(samples, scenario=name),
        requests.latency(samples, window, scenario=name, slo=requests.SLO_P95_SECONDS),
        scaling.none_added(test.timeline, scenario=name, since=begin, minimum=environment.minimum),
    ]


def _keep(url: str) -> Kept:
    parts = urlsplit(url)
    words = [parts.hostname or "", str(parts.port or 80), str(_CONNECTIONS), str(_SECONDS)]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "loadtests.hostile", *words],
            cwd=paths.REPOSITORY, capture_output=True, text=True, timeout=_SECONDS * 2,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise KindlingError(
            f"the hostile clients did not end in {_SECONDS * 2:.0f} s",
            next_step="the same command on a machine that has less to do",
        ) from None
    if done.returncode:
        raise KindlingError(f"the hostile clients failed: {done.stderr.strip()[-500:]}")
    return Kept(**json.loads(done.stdout))


def were_there(clients: Kept) -> Check:
    """Whether as many as were to be were there all the time, and the service ended some of each."""
    make, kinds = Verdicts(SCENARIO.name), clients.kinds
    stayed = [kind for kind, one in kinds.items() if not one["ended"] and kind not in IDLE]
    begun, ended, refused = (
        sum(one[field] for one in kinds.values()) for field in ("begun", "ended", "not taken")
    )
    observed = (
        f"at least {clients.open} at once; of {begun} in all, {ended} ended by the service, "
        f"{refused} not taken"
    )
    if stayed:
        observed += f"; none ended of: {', '.join(stayed)}"
    return make(
        "hostile clients were there", clients.open >= _CONNECTIONS and not stayed,
        expected=f"{_CONNECTIONS} connections at once, some of each kind ended",
        observed=observed, bound=f"≥ {_CONNECTIONS}",
        hint="http_connections_closed_total of the service",
    )  # fmt: skip


SCENARIO = Scenario(
    "hostile",
    "Hostile clients",
    f"Beside ordinary load, {_CONNECTIONS:,} connections send half a request, send byte by byte, "
    f"do not read, or send too much, for {_SECONDS:.0f} s: others are answered, no pod is added.",
    _run,
)
