"""Whether a canary is worse than the champion: a verdict from what both answered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

# Standard errors between two shares that chance does not make: once in thirty thousand looks.
_SURE = 4.0


class Verdict(Enum):
    """What is to become of a canary."""

    GO_ON = "go on"
    WORSE = "worse"
    PASSED = "passed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Counts:
    """What one version answered since the canary began; ``p95`` in seconds, NaN for none.

    ``refusals`` are requests that the version does not take, as it has other columns. ``within``
    has how many requests took at most so many seconds, as the histogram's buckets do.
    """

    requests: float = 0.0
    errors: float = 0.0
    p95: float = math.nan
    within: Mapping[float, float] = field(default_factory=dict)
    refusals: float = 0.0

    @property
    def error_share(self) -> float:
        """Errors of all requests, 0 to 1."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def refusal_share(self) -> float:
        """Refusals of all requests, 0 to 1."""
        return self.refusals / self.requests if self.requests else 0.0


@dataclass(frozen=True)
class Margins:
    """How much worse a canary may be.

    ``errors`` is added to the champion's share of errors, and to its share of refusals. Its p95 may
    be ``latency`` times the champion's. None is judged before ``requests`` requests to the canary,
    and it is not worse for what chance may have done.
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
    unsure = ""
    for what, hits, other_hits in (
        ("failed", canary.errors, champion.errors),
        ("were refused", canary.refusals, champion.refusals),
    ):
        some, others = (hits, canary.requests), (other_hits, champion.requests)
        if not (reason := _beyond_margin(what, some, others, margins)):
            continue
        if not champion.requests or _is_sure(some, others):
            return Judged(Verdict.WORSE, reason)
        unsure = unsure or f"{reason}, too few of them to be sure"
    if unsure:
        return Judged(Verdict.UNKNOWN if is_over else Verdict.GO_ON, unsure)
    # A champion with few requests says little of what its latency is.
    if champion.requests >= margins.requests and _is_slower(canary, champion, margins.latency):
        return Judged(
            Verdict.WORSE,
            f"its p95 is {canary.p95 * 1000:.0f} ms, more than {margins.latency:g} times the"
            f" champion's {champion.p95 * 1000:.0f} ms",
        )
    reason = (
        f"{canary.error_share:.1%} of its {canary.requests:.0f} requests failed,"
        f" {canary.refusal_share:.1%} were refused"
    )
    return Judged(Verdict.PASSED if is_over else Verdict.GO_ON, reason)


def _beyond_margin(
    what: str, some: tuple[float, float], others: tuple[float, float], margins: Margins
) -> str:
    """Why the first share is beyond the margin over the second one; empty where it is not."""
    share, other = (hits / tries if tries else 0.0 for hits, tries in (some, others))
    allowed = other + margins.errors
    if share <= allowed:
        return ""
    return f"{share:.1%} of its requests {what}, more than {allowed:.1%} (champion {other:.1%})"


def _is_slower(canary: Counts, champion: Counts, times: float) -> bool:
    """Whether its p95 is more than ``times`` the champion's, and not by a few slow requests.

    The p95 of a hundred requests is decided by five of them: one pause of the machine.
    """
    limit = champion.p95 * times
    bounds = canary.within.keys() & champion.within.keys()
    if not bounds or not canary.p95 > limit:
        return False
    bound = max((one for one in bounds if one <= limit), default=min(bounds))
    return _is_sure(_beyond(canary, bound), _beyond(champion, bound))


def _beyond(counts: Counts, bound: float) -> tuple[float, float]:
    """How many requests took more than ``bound`` seconds, and of how many."""
    timed = counts.within[math.inf]
    # Prometheus makes each up to the window's ends by itself: a little more may be within.
    return max(timed - counts.within[bound], 0.0), timed


def _is_sure(some: tuple[float, float], others: tuple[float, float]) -> bool:
    """Whether the first share is larger than the second one by more than chance makes it.

    Each is a number and of how many. Test of two proportions with their pooled share: Fleiss,
    Levin and Paik, Statistical Methods for Rates and Proportions, chapter 3.
    """
    (hits, tries), (other_hits, other_tries) = some, others
    pooled = (hits + other_hits) / (tries + other_tries)
    error = math.sqrt(pooled * (1 - pooled) * (1 / tries + 1 / other_tries))
    return hits / tries - other_hits / other_tries > _SURE * error
