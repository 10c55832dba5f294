"""What a load test can do, by name."""

from __future__ import annotations

from collections.abc import Mapping

from loadtests.scenarios import alerts, drills, gpu, hostile, scale, shapes
from loadtests.scenarios.scenario import Scenario

SCENARIOS: Mapping[str, Scenario] = {
    one.name: one
    for one in (
        scale.SCENARIO,
        alerts.SCENARIO,
        drills.SCENARIO,
        hostile.SCENARIO,
        gpu.SCENARIO,
        *shapes.SCENARIOS,
    )
}
# What is asserted when nothing is named.
USUAL = (scale.SCENARIO.name, alerts.SCENARIO.name)

__all__ = ["SCENARIOS", "USUAL", "Scenario"]
