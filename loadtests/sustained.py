"""Whether the load was what was asked for, or limited by the generator itself."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from loadtests.timeline import Moment, Timeline

_SHORTAGE = 0.02
_CPU = 0.85
# Share of the requests that may be late although a user was free, and for how long one may be. Late
# ones make latencies longer, never shorter.
_LATE = 0.03
_BEHIND_SECONDS = 1.0
# Of processor time, seconds at once: a single one is soon over.
_CPU_SECONDS = 5
_SILENT_SECONDS = 5.0


def sustained(timeline: Timeline) -> list[str]:
    """What made the generator the bottleneck; a run with one problem or more tells nothing.

    It does not matter here how the service did: what a request had to wait for until a user became
    free is the service's doing, and in its latency.
    """
    names = list(dict.fromkeys(moment.name for moment in timeline.of("load")))
    if not names:
        return ["the load reported nothing"]
    problems = [problem for name in names for problem in _of_process(timeline, name)]
    return problems + _silences(timeline, names)


def _of_process(timeline: Timeline, name: str) -> list[str]:
    moments = timeline.of("load", name)
    problems = []
    for stage, begin, end in spans(timeline):
        within = [moment for moment in moments if begin < moment.time <= end + 1]
        if within:
            problems += [f"{name}, {stage}: {one}" for one in _of_stage(within)]
    return problems


def _of_stage(moments: Sequence[Moment]) -> list[str]:
    asked = sum(moment.fields["asked"] * moment.fields["seconds"] for moment in moments)
    started, late, held = (_sum(moments, field) for field in ("started", "late", "held"))
    problems = []
    # Of a closed loop nothing is asked; what no user was free for is the service's doing.
    if asked and not held and started < asked * (1 - _SHORTAGE) - 1:
        problems.append(f"{started:.0f} of {asked:.0f} requests were sent")
    if late > max(1.0, _LATE * started):
        problems.append(f"{late:.0f} of {started:.0f} requests were sent late")
    behind = max(moment.fields["behind"] for moment in moments)
    if behind > _BEHIND_SECONDS:
        problems.append(f"it was {behind:.2f} s behind its schedule")
    busiest = max(
        _cpu(moments[start : start + _CPU_SECONDS])
        for start in range(max(1, len(moments) - _CPU_SECONDS + 1))
    )
    if busiest > _CPU:
        problems.append(
            f"it took, or waited for, {busiest:.0%} of a core; {_CPU:.0%} at most are sound"
        )
    return problems


def spans(timeline: Timeline) -> list[tuple[str, float, float]]:
    """Of each stage that was begun: its name, begin and end in Unix seconds."""
    found: list[tuple[str, float, float]] = []
    for moment in timeline.of("stage"):
        if moment.fields["phase"] == "begin":
            found.append((moment.name, moment.time, float("inf")))
        elif found:
            found[-1] = (*found[-1][:2], moment.time)
    return found


def _silences(timeline: Timeline, names: Sequence[str]) -> list[str]:
    """Processes that said nothing for a while, as one that is stopped or starved does."""
    problems = []
    begin = min((span[1] for span in spans(timeline)), default=0.0)
    end = max((span[2] for span in spans(timeline)), default=0.0)
    for name in names:
        times = [begin, *(moment.time for moment in timeline.of("load", name))]
        if end < float("inf"):
            times.append(max(end, times[-1]))
        silence = max(later - earlier for earlier, later in pairwise(times))
        if silence > _SILENT_SECONDS:
            problems.append(f"{name} said nothing for {silence:.1f} s")
    return problems


def _sum(moments: Sequence[Moment], field: str) -> float:
    return sum(float(moment.fields[field]) for moment in moments)


def _cpu(moments: Sequence[Moment]) -> float:
    seconds = _sum(moments, "seconds")
    # On a busy machine it takes little, however much it needs.
    needed = [
        float((m.fields["cpu"] + m.fields.get("waited", 0.0)) * m.fields["seconds"])
        for m in moments
    ]
    return sum(needed) / seconds
