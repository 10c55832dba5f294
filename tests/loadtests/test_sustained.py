"""A load that was limited by its generator is told from one that the service made slow."""

from __future__ import annotations

import re
from typing import Any

import pytest

from loadtests.load import Stage, sustained
from loadtests.timeline import Timeline

STAGES = [Stage("low", 10, 20, 8), Stage("high", 20, 50, 8)]
GOOD = {
    "asked": 50.0, "seconds": 1.0, "started": 50, "finished": 50, "failed": 0, "wrong": 0,
    "late": 0, "held": 0, "behind": 0.01, "in_flight": 1, "cpu": 0.3,
}  # fmt: skip


def _timeline(change: dict[int, dict[str, Any]], *, without: range = range(0)) -> Timeline:
    """Thirty seconds that went well, but for what ``change`` says of some of them."""
    timeline = Timeline()
    begin = 1000.0
    for stage in STAGES:
        timeline.add("stage", stage.name, at=begin, phase="begin", rate=stage.rate)
        begin += stage.seconds
        timeline.add("stage", stage.name, at=begin, phase="end", rate=stage.rate)
    for second in range(1, 31):
        if second not in without:
            timeline.add("load", "load-0", at=1000.0 + second, **GOOD | change.get(second, {}))
    return timeline


def _always(first: int, last: int, **fields: Any) -> dict[int, dict[str, Any]]:
    return dict.fromkeys(range(first, last + 1), fields)


@pytest.mark.parametrize(
    "change",
    [
        {},
        # A moment in which the machine had other things to do.
        _always(15, 16, cpu=1.0),
        _always(15, 15, behind=0.5, late=3),
        # Nobody was free: the service was slow. All that failed, and failed fast.
        _always(15, 20, started=10, held=10),
        _always(15, 20, failed=50),
        # The schedule of a second ends in the next one.
        _always(15, 15, started=49),
    ],
)
def test_what_the_service_did_or_soon_passed_is_no_problem(
    change: dict[int, dict[str, Any]],
) -> None:
    assert sustained(_timeline(change)) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_always(12, 30, started=48), "load-0, high: 9.* of 1000 requests were sent"),
        (_always(15, 19, cpu=0.9), "load-0, high: it took, or waited for, 90% of a core"),
        (_always(15, 19, waited=0.6), "load-0, high: it took, or waited for, 90% of a core"),
        (_always(1, 10, late=2), "load-0, low: 20 of 550 requests were sent late"),
        (_always(25, 25, behind=1.5), "load-0, high: it was 1.50 s behind"),
    ],
)
def test_a_generator_that_was_the_bottleneck_is_named(
    change: dict[int, dict[str, Any]], told: str
) -> None:
    (problem,) = sustained(_timeline(change))
    assert re.match(told, problem), problem


def test_a_process_that_said_nothing_is_one() -> None:
    assert sustained(_timeline({}, without=range(12, 19))) == ["load-0 said nothing for 8.0 s"]
    assert sustained(_timeline({}, without=range(20, 31))) == ["load-0 said nothing for 11.0 s"]
    assert sustained(Timeline()) == ["the load reported nothing"]


def test_of_a_closed_loop_no_rate_is_asked() -> None:
    timeline = Timeline()
    timeline.add("stage", "closed", at=1000.0, phase="begin", users=3)
    for second in (1, 2):
        timeline.add("load", "load-0", at=1000.0 + second, **GOOD | {"asked": 0.0, "started": 7})
    timeline.add("stage", "closed", at=1002.0, phase="end", users=3)
    assert sustained(timeline) == []
