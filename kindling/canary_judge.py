"""Whether a canary is worse than the champion: a verdict from what both answered."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What is to become of a canary."""

    GO_ON = "go on"
    WORSE = "worse"
    PASSED = "passed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Counts:
    """What one version answered since the canary began; ``p95`` in seconds, NaN for none."""

    requests: float = 0.0
    errors: float = 0.0
    p95: float = math.nan

    @property
    def error_share(self) -> float:
        """Errors of all requests, 0 to 1."""
        return self.errors / self.requests if self.requests else 0.0


@dataclass(frozen=True)
class Margins:
    """How much worse a canary may be.

    ``errors`` is added to the champion's share of errors. Its p95 may be ``latency`` times the
    champion's. Neither is judged before ``requests`` requests to the canary.
    """

    requests: int
    errors: float
    latency: float


@dataclass(frozen=True)
class Judged:
    """A verdict, and why."""

    verdict: Verdict
    reason: str


def judge(champion: Counts, canary: Counts, margins: Margins, *, is_over: bool) -> Judged:
    """The verdict so far; once the time ``is_over`` it is not GO_ON any more."""
    if canary.requests < margins.requests:
        reason = f"it had {canary.requests:.0f} requests, fewer than the {margins.requests} wanted"
        return Judged(Verdict.UNKNOWN if is_over else Verdict.GO_ON, reason)
    allowed = champion.error_share + margins.errors
    if canary.error_share > allowed:
        return Judged(
            Verdict.WORSE,
            f"{canary.error_share:.1%} of its requests failed, more than"
            f" {allowed:.1%} (champion {champion.error_share:.1%})",
        )
    # A champion with few requests says little of what its latency is.
    if champion.requests >= margins.requests and canary.p95 > champion.p95 * margins.latency:
        return Judged(
            Verdict.WORSE,
            f"its p95 is {canary.p95 * 1000:.0f} ms, more than {margins.latency:g} times the"
            f" champion's {champion.p95 * 1000:.0f} ms",
        )
    reason = f"{canary.error_share:.1%} of its {canary.requests:.0f} requests failed"
    return Judged(Verdict.PASSED if is_over else Verdict.GO_ON, reason)
