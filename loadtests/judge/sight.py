"""Whether the observers saw the run that is judged."""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.checks import Check
from loadtests.judge.seen import Verdicts, seconds
from loadtests.timeline import Timeline


def seen_throughout(
    timeline: Timeline,
    *,
    scenario: str,
    names: Sequence[str],
    begin: float,
    end: float,
    most_seconds: float,
) -> Check:
    """No observer was blind for longer than ``most_seconds`` in a row; else the run is invalid."""
    make, bound = Verdicts(scenario), f"≤ {seconds(most_seconds)}"
    name, expected = "the observers saw the run", "no observer blind"
    if not names:
        return make.invalid(name, "there were no observers", expected=expected, bound=bound)
    blind = {one: _blind(timeline, one, begin, end) for one in names}
    wrong = {one: took for one, took in blind.items() if took > most_seconds}
    if wrong:
        said = ", ".join(f"{one} for {seconds(took)}" for one, took in wrong.items())
        return make.invalid(name, f"blind: {said}", expected=expected, bound=bound)
    longest = max(blind, key=lambda one: blind[one])
    observed = f"{seconds(blind[longest])} at most" + (f" ({longest})" if blind[longest] else "")
    return make(name, True, expected=expected, observed=observed, bound=bound)


def _blind(timeline: Timeline, name: str, begin: float, end: float) -> float:
    """The longest time in a row, within the run, in which it did not see."""
    since: float | None = begin
    longest = 0.0
    for one in timeline.of("observer", name, until=end):
        if one.fields["state"] == "lost":
            since = max(one.time, begin) if since is None else since
        elif since is not None:
            longest, since = max(longest, one.time - since), None
    return longest if since is None else max(longest, end - since)
