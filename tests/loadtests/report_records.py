"""Records of load tests as they could have been, for the tests of the report."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from loadtests.checks import Check
from loadtests.report import Record, Scenario
from loadtests.samples import Samples
from loadtests.timeline import Timeline

STARTED = 1_790_000_000.25
# Name, title, seconds, stages of (name, seconds, requests/s), one sentence.
_PLAN: list[tuple[str, str, list[tuple[str, int, float]], str]] = [
    ("baseline", "Steady load within the SLO", [("warm-up", 20, 8), ("steady", 70, 12)],
     "Twelve requests a second for a minute, which one pod answers without scaling."),
    ("scale-out", "More load brings more pods",
     [("before", 20, 12), ("climb", 30, 40), ("hold", 130, 70), ("after", 110, 4)],
     "The load rises to seventy requests a second, pods are added, and removed when it is over."),
    ("rollout", "Another version, no failed request", [("steady under promotion", 90, 15)],
     "While requests arrive, version 2 of digits is promoted and rolled back."),
    ("alerts", "A broken service is noticed", [("healthy", 20, 12), ("broken", 90, 12),
                                               ("mended", 70, 12)],
     "Requests that fail make HighErrorRate pend, fire, arrive at the receiver, and resolve."),
]  # fmt: skip
ENVIRONMENT: dict[str, Any] = {
    "cluster": "kind-kindling, Kubernetes v1.36.4",
    "nodes": "1 control-plane, 1 cpu, 1 gpu",
    "target": "http://127.0.0.1:8080/predict, model digits",
    "machine_cores": 2,
    "network_policy": False,
    "versions": {"Locust": "2.47.0", "Prometheus": "3.9.1", "service": "sha256:5f1c09be77aa"},
    "autoscaler": {"pods": "1 to 4", "target of CPU": "70 %", "target in flight": 4},
    "shortened": {
        "scale-in stabilisation": "20 s, in production 300 s",
        "autoscaler's period": "5 s, in production 15 s",
        "scrape interval": "5 s, in production 30 s",
        "HighErrorRate for": "20 s, in production 5 min",
        "CPU limit of a pod": "0.5 cores, in production 2",
    },
}
_PODS = [f"serving-7d9f8b6c5-{end}" for end in ("x2x9k", "m4tqz", "bb7wd", "9hcfl")]


def passed(at: float = STARTED, slower: float = 1.0) -> Record:
    """A run of four scenarios in which all holds."""
    record = _passed(at, slower)
    return dataclasses.replace(record, timeline=Timeline(record.timeline))


@functools.cache
def _passed(at: float, slower: float) -> Record:
    timeline = Timeline()
    rng = np.random.default_rng(7)
    scenarios, now = [], at + 2
    for name, title, stages, words in _PLAN:
        begin = now
        for stage, seconds, rate in stages:
            timeline.add("stage", stage, at=now, phase="begin", rate=rate)
            timeline.add("stage", stage, at=now + seconds, phase="end")
            now += seconds
        scenarios.append(Scenario(name, title, begin, now, words))
        now += 3
    begins = {one.name: one.begin for one in scenarios}
    _pods(timeline, at, begins["scale-out"], now)
    samples = _requests(timeline, rng, scenarios, begins, slower)
    _alerts(timeline, begins["alerts"], begins["scale-out"])
    roll = begins["rollout"]
    timeline.add("action", "promote", at=roll + 25, text="digits 2")
    timeline.add("action", "rollback", at=roll + 60, text="digits")
    timeline.add("action", "break", at=begins["alerts"] + 20, text="every third answer is 503")
    timeline.add("action", "mend", at=begins["alerts"] + 110, text="all answers are whole again")
    checks = [
        Check("baseline", "p95 is within the SLO", "p95 below 500 ms", "p95 of 24.1 ms",
              "500 ms", "passed"),
        Check("baseline", "no request fails", "0 failed, 0 wrong", "0 of 1,000", "0", "passed"),
        Check("scale-out", "pods are added", "4 ready pods within 90 s", "4 after 47 s", "90 s",
              "passed"),
        Check("scale-out", "pods run on nodes of their pool", "all on pool cpu", "4 of 4 on cpu",
              "all", "passed"),
        Check("scale-out", "pods are removed again", "1 ready pod within 120 s", "1 after 63 s",
              "120 s", "passed"),
        Check("rollout", "no request fails while versions change", "0 failed, 0 wrong",
              "0 of 1,350", "0", "passed"),
        Check("alerts", "HighErrorRate pends, fires, and arrives", "notified within 60 s",
              "pending after 12 s, firing after 33 s, notified after 36 s", "60 s", "passed"),
        Check("alerts", "HighErrorRate resolves", "notified as resolved within 60 s",
              "after 41 s", "60 s", "passed"),
        Check("alerts", "GPU pods are placed on GPU nodes", "all on pool gpu", "", "all", "skipped",
              "this cluster has no pool with GPUs"),
    ]  # fmt: skip
    return Record(
        at, now + 1.4, "nox -s loadtest", ENVIRONMENT, scenarios, timeline, samples, checks,
        generator={"Locust": "2.47.0", "processes": 2, "loop": "open, arrivals by schedule"},
        slo_p95=0.5,
    )  # fmt: skip


def failed() -> Record:
    """Pods came too late, and requests failed meanwhile."""
    record = passed(slower=14)
    hints = {
        "pods are added": (
            "failed", "2 ready pods after 90 s: the third and the fourth were not scheduled",
            "docs/runbooks/AutoscalerCannotScale.md; FailedScheduling in the events says why"),
        "no request fails while versions change": (
            "failed", "41 of 1,350 failed: 38 times 503, 3 times connection reset",
            "what the service logged at 7:14: nox -s status, then its pods' logs"),
    }  # fmt: skip
    checks = [
        dataclasses.replace(c, **dict(zip(("status", "observed", "hint"), hints[c.name],
                                          strict=True))) if c.name in hints else c
        for c in record.checks
    ]  # fmt: skip
    at = record.scenarios[1].begin + 62
    for pod in ("bb7wd", "9hcfl"):
        record.timeline.add(
            "event", "FailedScheduling", at=at, kind="Pod", object=f"serving-7d9f8b6c5-{pod}",
            message="0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated "
            "taint(s). preemption: 0/3 nodes are available.", count=3)  # fmt: skip
    record.timeline.add("observer", "Prometheus", at=at + 100, state="lost", text="timed out")
    record.timeline.add("observer", "Prometheus", at=at + 128, state="again")
    chosen = (record.samples.intended > record.scenarios[2].begin + 24) & (
        record.samples.intended < record.scenarios[2].begin + 29)  # fmt: skip
    outcome, reason = record.samples.outcome.copy(), record.samples.reason.copy()
    outcome[chosen], reason[chosen] = "failed", "reset"
    samples = dataclasses.replace(record.samples, outcome=outcome, reason=reason)
    return dataclasses.replace(record, checks=checks, samples=samples)


def invalid() -> Record:
    """The generator could not send what it was to send."""
    record = passed()
    checks = [
        Check("baseline", "the generator keeps its schedule", "at most 0.1 s behind",
              "3.2 s behind, its process at 99 % of a core", "0.1 s", "invalid",
              "close what else needs the CPU, or start more processes"),
        *record.checks,
    ]  # fmt: skip
    return dataclasses.replace(record, checks=checks)


def interrupted() -> Record:
    """Ctrl-C in the second scenario."""
    record = passed()
    end = record.scenarios[1].begin + 71.5
    scenarios = [record.scenarios[0], dataclasses.replace(record.scenarios[1], end=end)]
    timeline = Timeline(m for m in record.timeline if m.time < end)
    samples = record.samples.where(record.samples.ended < end)
    return dataclasses.replace(
        record, ended=end, scenarios=scenarios, timeline=timeline, samples=samples,
        checks=record.checks[:2], interrupted=True,
    )  # fmt: skip


def empty() -> Record:
    """Nothing came of it: no scenario, no request, no check."""
    return Record(STARTED, STARTED + 4.5, "nox -s loadtest -- none", {}, [], Timeline(),
                  Samples.of([]), [])  # fmt: skip


def _pods(timeline: Timeline, at: float, busy: float, ended: float) -> None:
    born = [at - 900, busy + 44, busy + 44, busy + 62]
    gone = [None, busy + 272, busy + 252, busy + 237]
    for pod, created, end in zip(_PODS, born, gone, strict=True):
        common = {"node": "kindling-worker", "pool": "cpu", "restarts": 0, "created": created,
                  "requests": {"cpu": 0.1}}  # fmt: skip
        if created > at:
            timeline.add("pod", pod, at=created, phase="Pending", ready=False, **common)
        timeline.add("pod", pod, at=max(at, created + 9), phase="Running", ready=True, **common)
        if end:
            timeline.add("pod", pod, at=end, gone=True)
    second = at
    while second < ended:
        ready = sum(c + 9 <= second and (g is None or second < g)
                    for c, g in zip(born, gone, strict=True))  # fmt: skip
        wanted = sum(c - 2 <= second and (g is None or second < g - 4)
                     for c, g in zip(born, gone, strict=True))  # fmt: skip
        load = 70 if busy + 50 <= second < busy + 180 else 40 if 20 < second - busy < 50 else 12
        cpu = min(190.0, load / ready * 3.1 + 6 * np.sin(second / 4))
        timeline.add("deployment", "serving", at=second, wanted=wanted, ready=ready,
                     available=ready, updated=ready)  # fmt: skip
        timeline.add(
            "hpa", "serving", at=second + 0.2, current=ready, desired=wanted, minimum=1, maximum=4,
            metrics=[{"name": "cpu", "value": round(cpu, 1), "target": 70},
                     {"name": "in flight", "value": load / ready / 9, "target": 4}],
            conditions={"ScalingActive": "True"})  # fmt: skip
        alive = [p for p, c, g in zip(_PODS, born, gone, strict=True)
                 if c + 6 <= second and (g is None or second < g)]  # fmt: skip
        if int(second) % 5 == 0:
            timeline.add("metrics", "cpu", at=second, values={
                pod: round(cpu / 200 + 0.04 + 0.03 * np.sin(second / 7 + n), 4)
                for n, pod in enumerate(alive)})  # fmt: skip
            timeline.add("metrics", "in_flight", at=second,
                         values={pod: round(load / ready / 9) for pod in alive})  # fmt: skip
        second += 1
    timeline.add("event", "SuccessfulRescale", at=busy + 42, kind="HorizontalPodAutoscaler",
                 object="serving", message="New size: 3; reason: cpu above target")  # fmt: skip
    timeline.add("event", "Unhealthy", at=busy + 49, kind="Pod", object=_PODS[1],
                 message="Startup probe failed: connection refused", count=2)  # fmt: skip


def _requests(
    timeline: Timeline, rng: np.random.Generator, scenarios: list[Scenario],
    begins: dict[str, float], slower: float,
) -> Samples:  # fmt: skip
    rows: list[list[Any]] = []
    busy, broken = begins["scale-out"], begins["alerts"] + 20
    for begin, end, rate in _loads(timeline):
        second = begin
        while second < end:
            slow = slower if 30 < second - busy < 100 else 1.0
            base = 0.016 * (1 + rate / 90) * (6 * slow if 30 < second - busy < 58 else 1)
            latencies = base * rng.lognormal(0, 0.35, int(rate))
            if 30 < second - busy < 58:
                latencies *= 1 + (second - busy - 30) / 14
            failures = 0
            for n, seconds in enumerate(latencies):
                intended = second + n / rate
                bad = broken <= second < broken + 90 and n % 3 == 0
                failures += bad
                rows.append([intended, intended + 0.0004, intended + seconds,
                             "chat" if n % 5 == 4 else "predict", 503 if bad else 200,
                             *(("failed", "503 model_error") if bad else ("ok", ""))])  # fmt: skip
            for process, share in (("generator-1", 0.5), ("generator-2", 0.5)):
                timeline.add(
                    "load", process, at=second + 1, asked=rate * share,
                    started=int(rate) // 2, finished=int(rate) // 2, failed=failures // 2, wrong=0,
                    in_flight=round(float(latencies.mean()) * rate * share), behind=0.002,
                    cpu=round(0.05 + rate / 240 + 0.01 * float(rng.random()), 3))  # fmt: skip
            second += 1
    rows.sort(key=lambda row: row[0])
    return Samples.of(rows)


def _loads(timeline: Timeline) -> list[tuple[float, float, float]]:
    begins = [m for m in timeline.of("stage") if m.fields["phase"] == "begin"]
    ends = [m for m in timeline.of("stage") if m.fields["phase"] == "end"]
    return [(b.time, e.time, b.fields["rate"]) for b, e in zip(begins, ends, strict=True)]


def _alerts(timeline: Timeline, begin: float, busy: float) -> None:
    labels = {"alertname": "HighErrorRate", "severity": "critical", "model": "digits"}
    for after, state in ((32, "pending"), (53, "firing"), (148, "inactive")):
        timeline.add("alert", "HighErrorRate", at=begin + after, state=state, labels=labels)
    for after, status in ((56, "firing"), (151, "resolved")):
        timeline.add("notification", "HighErrorRate", at=begin + after, status=status,
                     labels=labels, received_at=begin + after)  # fmt: skip
    at_most = {"alertname": "AutoscalerAtMaximum", "severity": "warning"}
    for after, state in ((75, "pending"), (231, "inactive")):
        timeline.add("alert", "AutoscalerAtMaximum", at=busy + after, state=state, labels=at_most)
