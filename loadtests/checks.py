"""What a load test asserts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# `invalid`: the run could not tell. `skipped`: what it needs is not there. Only `passed` passes,
# and `skipped` does not fail.
Status = Literal["passed", "failed", "invalid", "skipped"]
# In the place of a scenario, for what is asserted of the load and of what watched it.
RUN = "run"


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
    """Of all: failed before invalid before passed; of nothing that was checked, invalid.

    What fails often leaves others untold: where no pod came, none can share the load. But where the
    load itself was not what it should have been, no failure can be told from its own.
    """
    if any(check.status == "invalid" for check in checks if check.scenario == RUN):
        return "invalid"
    found = {check.status for check in checks}
    for status in ("failed", "invalid"):
        if status in found:
            return status
    return "passed" if "passed" in found else "invalid"
