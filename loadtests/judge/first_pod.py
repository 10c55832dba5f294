"""How long a step waits for its first new pod, beside the least that it could."""

from __future__ import annotations

from dataclasses import dataclass

from loadtests.checks import Check
from loadtests.judge.seen import Verdicts, seconds, stage
from loadtests.timeline import Timeline


@dataclass(frozen=True)
class Floor:
    """What scaling out takes at best, in seconds: see the load, decide, start a pod."""

    scrape: float
    control_loop: float
    pod_start: float

    @property
    def seconds(self) -> float:
        return self.scrape + self.control_loop + self.pod_start

    def __str__(self) -> str:
        return (
            f"{seconds(self.seconds)} = scrape {seconds(self.scrape)} + control loop "
            f"{seconds(self.control_loop)} + pod start {seconds(self.pod_start)}"
        )


def first_new_pod(timeline: Timeline, stage_name: str) -> float | None:
    """Seconds from the begin of a stage to the first pod, created since, that was ready."""
    step = stage(timeline, stage_name)
    if step is None:
        return None
    before = {one.name for one in timeline.of("pod", until=step.begin)}
    ready = [
        one.time - step.begin
        for one in timeline.of("pod", since=step.begin)
        if one.name not in before and one.fields["ready"]
    ]
    return min(ready, default=None)


def first_pod_in_time(
    timeline: Timeline, *, scenario: str, stage_name: str, floor: Floor, at_most: float
) -> Check:
    """The first new pod was ready within ``at_most`` times the floor."""
    make, bound = Verdicts(scenario), f"≤ {at_most:g} times {seconds(floor.seconds)}"
    name, expected = "first new pod in time", f"floor {floor}"
    if stage(timeline, stage_name) is None or not timeline.of("pod"):
        why = f"no pod was seen, or {stage_name} has no begin or no end"
        return make.invalid(name, why, expected=expected, bound=bound)
    took = first_new_pod(timeline, stage_name)
    if took is None:
        return make(
            name, False, expected=expected, observed="no new pod was ready", bound=bound,
            hint="kubectl describe hpa, kubectl get events",
        )  # fmt: skip
    return make(
        name, took <= at_most * floor.seconds, expected=expected,
        observed=f"{seconds(took)} ({took / floor.seconds:.2f} times the floor)", bound=bound,
        hint="hpa, pod and event moments after the step in timeline.jsonl",
    )  # fmt: skip
