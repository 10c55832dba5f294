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
from loadtests.hostile import IDLE
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
    begun = sum(one["begun"] for one in clients.values())
    test.numbers["hostile_connections"] = begun
    return [
        _were_there(clients, begun),
        requests.none_failed(samples, scenario=name),
        requests.none_wrong(samples, scenario=name),
        requests.latency(samples, window, scenario=name, slo=requests.SLO_P95_SECONDS),
        scaling.none_added(test.timeline, scenario=name, since=begin, minimum=environment.minimum),
    ]


def _keep(url: str) -> dict[str, dict[str, int]]:
    parts = urlsplit(url)
    words = [parts.hostname or "", str(parts.port or 80), str(_CONNECTIONS), str(_SECONDS)]
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.hostile", *words],
        cwd=paths.REPOSITORY, capture_output=True, text=True, timeout=_SECONDS * 2,
    )  # fmt: skip
    if done.returncode:
        raise KindlingError(f"the hostile clients failed: {done.stderr.strip()[-500:]}")
    found: dict[str, dict[str, int]] = json.loads(done.stdout)
    return found


def _were_there(clients: dict[str, dict[str, int]], begun: int) -> Check:
    """Whether there were as many as were to be, and the service ended some of each kind."""
    make = Verdicts(SCENARIO.name)
    kept = [kind for kind, one in clients.items() if not one["ended"] and kind not in IDLE]
    refused = sum(one["not taken"] for one in clients.values())
    ended = sum(one["ended"] for one in clients.values())
    observed = f"{begun} connections, {ended} of them ended by the service, {refused} not taken"
    if kept:
        observed += f"; none ended of: {', '.join(kept)}"
    return make(
        "hostile clients were ended", begun >= _CONNECTIONS and not kept,
        expected=f"{_CONNECTIONS} connections, some of each kind ended", observed=observed,
        hint="http_connections_closed_total of the service",
    )  # fmt: skip


SCENARIO = Scenario(
    "hostile",
    "Hostile clients",
    f"Beside ordinary load, {_CONNECTIONS:,} connections send half a request, send byte by byte, "
    f"do not read, or send too much, for {_SECONDS:.0f} s: others are answered, no pod is added.",
    _run,
)
