"""Timelines as a load test would have written them, in seconds after ``T``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loadtests.samples import Samples
from loadtests.timeline import Timeline

T = 1_767_225_600.0
DIGITS = {"alertname": "HighErrorRate", "model": "digits"}


class Story:
    """A timeline to which a test adds what happened."""

    def __init__(self) -> None:
        self.timeline = Timeline()

    def stage(self, name: str, begin: float, end: float | None, rate: float = 10) -> Story:
        self.timeline.add("stage", name, at=T + begin, phase="begin", rate=rate)
        if end is not None:
            self.timeline.add("stage", name, at=T + end, phase="end", rate=rate)
        return self

    def hpa(self, at: float, desired: int, maximum: int = 4) -> Story:
        self.timeline.add(
            "hpa", "serving", at=T + at, current=desired, desired=desired, minimum=1,
            maximum=maximum, metrics=[], conditions={},
        )  # fmt: skip
        return self

    def deployment(self, at: float, wanted: int, ready: int) -> Story:
        self.timeline.add(
            "deployment", "serving", at=T + at, wanted=wanted, ready=ready, available=ready,
            updated=wanted,
        )  # fmt: skip
        return self

    def pod(self, at: float, name: str, **changed: Any) -> Story:
        fields: dict[str, Any] = {
            "phase": "Running", "ready": True, "ready_at": T + at, "created": T + at, "node": "n1",
            "pool": "cpu", "restarts": 0, "deleting": False, "gone": False, "reason": "",
            "requests": {"cpu": 0.1, "nvidia.com/gpu": 0},
        }  # fmt: skip
        self.timeline.add("pod", name, at=T + at, **fields | changed)
        return self

    def alert(self, at: float, state: str, active_at: float, **labels: str) -> Story:
        labels = labels or DIGITS
        self.timeline.add(
            "alert", labels["alertname"], at=T + at, state=state, labels=labels,
            active_at=T + active_at,
        )  # fmt: skip
        return self

    def notification(self, at: float, status: str) -> Story:
        self.timeline.add(
            "notification", "HighErrorRate", at=T + at, status=status, labels=DIGITS,
            starts_at=T, received_at=T + at,
        )  # fmt: skip
        return self

    def observer(self, at: float, name: str, state: str) -> Story:
        self.timeline.add("observer", name, at=T + at, state=state, text="")
        return self

    def load(self, at: float, *, behind: float = 0.0, cpu: float = 0.3) -> Story:
        self.timeline.add(
            "load", "generator-1", at=T + at, asked=10, started=10, finished=10, failed=0, wrong=0,
            in_flight=1, behind=behind, cpu=cpu,
        )  # fmt: skip
        return self


def scaled(ready: float = 40.0, asked: float = 30.0) -> Story:
    """A step at 10 s that asks for 3 pods; the load ends at 200 s."""
    story = Story().hpa(0, 1).pod(0, "a").deployment(0, 1, 1).stage("step", 10, 200)
    story.hpa(asked, 3).deployment(asked, 3, 1)
    for name in ("b", "c"):
        story.pod(asked, name, phase="Pending", ready=False, node="", pool="")
        story.pod(asked + 0.1, name, phase="Pending", ready=False, created=T + asked)
    story.pod(ready - 1, "b", created=T + asked).pod(ready, "c", created=T + asked)
    return story.deployment(ready, 3, 3)


def scaled_in_again(at: float = 270.0) -> Story:
    """The same, and back to one pod."""
    story = scaled().hpa(at - 1, 1).deployment(at - 1, 1, 3)
    for name in ("b", "c"):
        story.pod(at, name, deleting=True).pod(at + 2, name, ready=False, gone=True)
    return story.deployment(at, 1, 1)


def samples(
    *requests: tuple[float, float], outcome: str = "ok", reason: str = "", status: int = 200
) -> Samples:
    """Requests that were to be sent at, and took, these seconds."""
    rows: Sequence[Sequence[Any]] = [
        (T + at, T + at, T + at + took, "predict", status, outcome, reason) for at, took in requests
    ]
    return Samples.of(rows)


def together(*parts: Samples) -> Samples:
    columns = ("intended", "started", "ended", "name", "status", "outcome", "reason")
    rows = [
        row
        for part in parts
        for row in zip(*(getattr(part, column).tolist() for column in columns), strict=True)
    ]
    return Samples.of(sorted(rows))
