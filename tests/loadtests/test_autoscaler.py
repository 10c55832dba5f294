"""An autoscaler without metrics is waited for, and said to be blind at the bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import cluster_objects as made
import pytest

from kindling.kubectl import Kubectl
from loadtests import autoscaler
from loadtests.environment import Environment, NoAutoscalerError

SEEING = made.autoscaler()
BLIND = made.autoscaler()
BLIND["status"]["conditions"] = [
    {"type": "ScalingActive", "status": "False", "message": "pods might be unready"}
]
NEW = {key: value for key, value in made.autoscaler().items() if key != "status"}


class Answers:
    """Stands where kubectl would: one object after the other."""

    def __init__(self, objects: Iterator[Any]) -> None:
        self._objects = objects

    def get(self, *words: str) -> Any:
        assert words == ("horizontalpodautoscalers", "serving", "--namespace=kindling")
        return next(self._objects)


def environment(*objects: Any) -> Environment:
    kubectl = cast(Kubectl, Answers(iter(objects)))
    return Environment("kindling", kubectl, "kindling", "serving", "serving", 1, 4, {}, True, {})


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sleeping moves the clock, and nothing else does."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(autoscaler.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(autoscaler.time, "sleep", sleep)


def test_one_that_has_no_metrics_yet_is_waited_for() -> None:
    given = environment(NEW, BLIND, BLIND, SEEING, BLIND)
    autoscaler.wait_until_measured(given, seconds=10)
    assert given.kubectl.get("horizontalpodautoscalers", "serving", "--namespace=kindling") is BLIND


def test_one_that_stays_blind_is_said_to_be() -> None:
    with pytest.raises(NoAutoscalerError, match="does not scale after 3 s: pods might be unready"):
        autoscaler.wait_until_measured(environment(*[BLIND] * 9), seconds=3)
