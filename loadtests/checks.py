"""What a load test asserts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# `invalid`: the run could not tell. `skipped`: what it needs is not there. Only `passed` passes,
# and `skipped` does not fail.
Status = Literal["passed", "failed", "invalid", "skipped"]


@dataclass(frozen=True)
class Check:
    """One assertion: what was expected, what was observed, and the bound between the two."""

    scenario: str
    name: str
    expected: str
    observed: str
    bound: str
    status: Status
    # What to look at, for one that did not pass.
    hint: str = ""


def verdict(checks: list[Check]) -> Status:
    """Of all: invalid before failed before passed; of nothing that was checked, invalid."""
    found = {check.status for check in checks}
    for status in ("invalid", "failed"):
        if status in found:
            return status
    return "passed" if "passed" in found else "invalid"
