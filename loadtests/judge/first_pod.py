"""How long a step waits for its first new pod, beside the least that it could."""

from __future__ import annotations

from dataclasses import dataclass

from loadtests.judge.seen import seconds, stage
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
