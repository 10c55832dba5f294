"""What a load test leaves behind, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from loadtests.checks import Check, verdict
from loadtests.samples import Samples
from loadtests.timeline import Timeline

Scalar = str | int | float | bool | None
Ending = Literal["passed", "failed", "invalid", "interrupted"]

# 2 is what commands of Kindling end with on wrong arguments, 130 what a shell says after Ctrl-C.
EXIT_CODES: Mapping[Ending, int] = {"passed": 0, "failed": 1, "invalid": 3, "interrupted": 130}

# Of a scenario's numbers: requests that failed because it had them fail.
ON_PURPOSE = "failed_on_purpose"


@dataclass(frozen=True)
class Scenario:
    """One scenario that ran: Unix seconds, and one sentence that says what it does."""

    name: str
    title: str
    begin: float
    end: float
    description: str
    # What the scenario itself measured, such as `scale_out_seconds`; kept, compared, drawn.
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """All of one run. Times are Unix seconds of this machine.

    ``environment`` says what was tested: names and values, in groups or not. What is quicker or
    smaller here than in production belongs in its group ``shortened``.
    """

    started: float
    ended: float
    command: str
    environment: Mapping[str, Scalar | Mapping[str, Scalar]]
    scenarios: Sequence[Scenario]
    timeline: Timeline
    samples: Samples
    checks: Sequence[Check]
    interrupted: bool = False
    # What the generator is: processes, kind of loop, version. What it did is in the timeline.
    generator: Mapping[str, Scalar] = field(default_factory=dict)
    # Seconds that 95 % of requests may take; drawn as a line.
    slo_p95: float | None = None

    @property
    def ending(self) -> Ending:
        """The verdict of the checks, but of a run that was interrupted just that."""
        if self.interrupted:
            return "interrupted"
        found = verdict(list(self.checks))
        return "invalid" if found == "skipped" else found


def exit_code(record: Record) -> int:
    """What the command ends with: 0 passed, 1 failed, 3 invalid, 130 interrupted."""
    return EXIT_CODES[record.ending]


def on_purpose(report: Mapping[str, Any]) -> int:
    """Requests of a report that failed because a scenario had them fail."""
    return sum(int(one["numbers"].get(ON_PURPOSE, 0)) for one in report["scenarios"])


def grouped(environment: Mapping[str, Any]) -> dict[str, dict[str, Scalar]]:
    """The environment in groups; what stands outside of one is in ``tested``."""
    groups: dict[str, dict[str, Scalar]] = {}
    for name, value in environment.items():
        if isinstance(value, Mapping):
            groups.setdefault(name, {}).update({str(key): _scalar(v) for key, v in value.items()})
        else:
            groups.setdefault("tested", {})[name] = _scalar(value)
    return groups


def _scalar(value: Any) -> Scalar:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple | set):
        return ", ".join(str(entry) for entry in value)
    return str(value)
