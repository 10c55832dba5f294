"""Whether the autoscaler did what it is for."""

from __future__ import annotations

from collections.abc import Collection

from loadtests.checks import Check
from loadtests.judge.seen import (
    Pods,
    Stage,
    Verdicts,
    count,
    end,
    first,
    latest,
    pods,
    pods_at,
    seconds,
    stage,
)
from loadtests.observers.objects import GPU
from loadtests.timeline import Timeline

_EVENTS = "kubectl get events, and the pods' moments in timeline.jsonl"
_METRICS = "kubectl describe hpa: does it see the metrics?"


def scaled_out(
    timeline: Timeline, *, scenario: str, stage_name: str, wanted: int, within: float
) -> list[Check]:
    """The autoscaler asked for ``wanted`` pods, and they were ready, ``within`` s of a stage."""
    make, bound = Verdicts(scenario), f"≤ {seconds(within)}"
    names = f"asked for {count(wanted)}", f"scaled out to {count(wanted)}"
    step, hpas, counts = stage(timeline, stage_name), timeline.of("hpa"), pods(timeline)
    expected = f"{count(wanted)} after the begin of {stage_name}"

    def both(why: str) -> list[Check]:
        return [make.invalid(name, why, expected=expected, bound=bound) for name in names]

    if step is None:
        return both(f"the stage {stage_name} has no begin or no end")
    before, asked_before = pods_at(counts, step.begin), latest(timeline, "hpa", step.begin)
    if before is None or asked_before is None:
        return both(f"pods or autoscaler were not seen when {stage_name} began")
    if before.there >= wanted or asked_before.fields["desired"] >= wanted:
        return both(f"{count(before.there)} before the step: nothing to scale out")
    asked = first(hpas, lambda one: one.time >= step.begin and one.fields["desired"] >= wanted)
    most_asked = max(one.fields["desired"] for one in hpas if one.time >= asked_before.time)
    ready = next((one for one in counts if one.time >= step.begin and one.ready >= wanted), None)
    most_ready = max(one.ready for one in counts if one.time >= before.time)
    rows = (
        (names[0], asked.time if asked else None, most_asked, "asked for", _METRICS),
        (names[1], ready.time if ready else None, most_ready, "ready", _EVENTS),
    )
    found = []
    for name, at, most, word, hint in rows:
        if at is None and end(timeline) < step.begin + within:
            why = f"seen for {seconds(end(timeline) - step.begin)} only, {count(most)} {word}"
            found.append(make.invalid(name, why, expected=expected, bound=bound))
            continue
        observed = (
            f"at most {count(most)} {word}" if at is None else f"after {seconds(at - step.begin)}"
        )
        ok = at is not None and at - step.begin <= within
        found.append(make(name, ok, expected=expected, observed=observed, bound=bound, hint=hint))
    return found


def scaled_in(
    timeline: Timeline, *, scenario: str, stage_name: str, wanted: int, within: float
) -> Check:
    """Down to ``wanted`` pods ``within`` seconds of the end of a stage, the last with load."""
    make, bound = Verdicts(scenario), f"≤ {seconds(within)}"
    name, expected = f"scaled in to {count(wanted)}", f"{count(wanted)} after {stage_name}"
    load, counts = stage(timeline, stage_name), pods(timeline)
    if load is None:
        why = f"the stage {stage_name} has no begin or no end"
        return make.invalid(name, why, expected=expected, bound=bound)
    before = pods_at(counts, load.end)
    if before is None or latest(timeline, "hpa", load.end) is None:
        why = f"pods or autoscaler were not seen when {stage_name} ended"
        return make.invalid(name, why, expected=expected, bound=bound)
    if before.there <= wanted:
        observed = f"{count(before.there)} when the load ended: nothing to scale in"
        return make(name, False, expected=expected, observed=observed, bound=bound, hint=_METRICS)
    at = _settled(timeline, counts, load, wanted)
    if at is None and end(timeline) < load.end + within:
        why = f"seen for {seconds(end(timeline) - load.end)} only"
        return make.invalid(name, why, expected=expected, bound=bound)
    observed = (
        f"{count(counts[-1].there)} still" if at is None else f"after {seconds(at - load.end)}"
    )
    ok = at is not None and at - load.end <= within
    return make(name, ok, expected=expected, observed=observed, bound=bound, hint=_METRICS)


def scale_in_bound(*, stabilization: float, control_loop: float, scrape: float) -> float:
    """How long scaling in may take after the load has ended.

    What the autoscaler sees is ``scrape`` s old, it looks each ``control_loop`` s, and forgets what
    it wanted ``stabilization`` s ago; and a tenth.
    """
    return (stabilization + control_loop + scrape) * 1.1


def none_added(timeline: Timeline, *, scenario: str, since: float, minimum: int) -> Check:
    """The autoscaler asked for no more than ``minimum`` pods, and there never were more."""
    make, name, expected = Verdicts(scenario), "no pod was added", f"{count(minimum)} all the time"
    hpas = timeline.of("hpa", since=since)
    before = latest(timeline, "hpa", since)
    counts = [one for one in pods(timeline) if one.time >= since]
    if before is None or not timeline.of("pod"):
        return make.invalid(name, "no autoscaler or no pods were seen", expected=expected)
    most = max(
        before.fields["desired"],
        *(one.fields["desired"] for one in hpas), *(one.there for one in counts), 0,
    )  # fmt: skip
    return make(
        name, most <= minimum, expected=expected, observed=f"at most {count(most)}",
        bound=f"≤ {count(minimum)}", hint=_METRICS,
    )  # fmt: skip


def within_maximum(timeline: Timeline, *, scenario: str) -> Check:
    """Never more pods than the autoscaler may have."""
    make, hpas, counts = Verdicts(scenario), timeline.of("hpa"), pods(timeline)
    name = "never above the maximum"
    if not hpas or not counts:
        return make.invalid(name, "no autoscaler or no pods were seen", expected="the maximum")
    maximum = max(one.fields["maximum"] for one in hpas)
    most = max(
        *(one.there for one in counts), *(one.fields["desired"] for one in hpas),
        *(one.fields["wanted"] for one in timeline.of("deployment")),
    )  # fmt: skip
    return make(
        name, most <= maximum, expected=f"at most {count(maximum)}",
        observed=f"at most {count(most)}", bound=f"≤ {count(maximum)}", hint=_EVENTS,
    )  # fmt: skip


def at_minimum(timeline: Timeline, *, scenario: str) -> Check:
    """In the end there are as few pods as the autoscaler may have, and all are ready."""
    make, counts = Verdicts(scenario), pods(timeline)
    name = "back to the minimum at the end"
    hpa, deployment = latest(timeline, "hpa"), latest(timeline, "deployment")
    if hpa is None or deployment is None or not counts:
        why = "no autoscaler, no Deployment or no pods were seen"
        return make.invalid(name, why, expected="the minimum")
    minimum, last = hpa.fields["minimum"], counts[-1]
    numbers = {
        "desired": hpa.fields["desired"], "wanted": deployment.fields["wanted"],
        "there": last.there, "ready": last.ready,
    }  # fmt: skip
    return make(
        name, set(numbers.values()) == {minimum}, expected=count(minimum),
        observed=", ".join(f"{number} {what}" for what, number in numbers.items()),
        bound=f"= {count(minimum)}", hint=_EVENTS,
    )  # fmt: skip


def on_pools(
    timeline: Timeline,
    *,
    scenario: str,
    pools: Collection[str],
    gpu_pools: Collection[str] = (),
) -> Check:
    """Every pod that got a node got one of ``pools``; of ``gpu_pools`` where it requests a GPU."""
    make = Verdicts(scenario)
    placed = {one.name: one.fields for one in timeline.of("pod") if one.fields["node"]}
    allowed = {
        pod: gpu_pools if fields["requests"].get(GPU) else pools for pod, fields in placed.items()
    }
    name = "ran on the right node pool"
    expected = ", ".join(sorted({pool for some in allowed.values() for pool in some}))
    if not placed:
        return make.invalid(name, "no pod with a node was seen", expected=", ".join(sorted(pools)))
    wrong = [
        f"{pod} on {fields['node']} (pool {fields['pool'] or 'unknown'})"
        for pod, fields in placed.items()
        if fields["pool"] not in allowed[pod]
    ]
    used = sorted({fields["pool"] for fields in placed.values()})
    return make(
        name, not wrong, expected=expected,
        observed=", ".join(wrong) or f"{count(len(placed))} on {', '.join(used)}",
        hint="kubectl get nodes --label-columns=kindling.dev/pool",
    )  # fmt: skip


def not_restarted(timeline: Timeline, *, scenario: str) -> Check:
    """No container of a pod was started again while it was looked at."""
    make, moments = Verdicts(scenario), timeline.of("pod")
    name = "no pod restarted"
    if not moments:
        return make.invalid(name, "no pod was seen", expected="0 restarts")
    begin, before = moments[0].time, dict[str, int]()
    wrong: dict[str, str] = {}
    for one in moments:
        fields = one.fields
        # Of a pod that was there first, what had happened is not this run's.
        older = fields["created"] < begin
        start = before.setdefault(one.name, fields["restarts"] if older else 0)
        if fields["restarts"] > start:
            wrong[one.name] = f"{one.name}: {fields['restarts'] - start} ({fields['reason']})"
    return make(
        name, not wrong, expected="0 restarts", observed="; ".join(wrong.values()) or "0 restarts",
        bound="= 0", hint="kubectl logs --previous",
    )  # fmt: skip


def scheduled(timeline: Timeline, *, scenario: str, within: float) -> Check:
    """No pod was without a node for longer than ``within`` seconds."""
    make, moments = Verdicts(scenario), timeline.of("pod")
    name, bound = "every pod got a node", f"≤ {seconds(within)}"
    if not moments:
        return make.invalid(name, "no pod was seen", expected="a node for each", bound=bound)
    waits: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for pod in {one.name for one in moments}:
        own = [one for one in moments if one.name == pod]
        if own[0].fields["node"]:
            continue
        ended = next((o for o in own if o.fields["node"] or o.fields["gone"]), None)
        waits[pod] = (ended.time if ended else end(timeline)) - own[0].time
        reasons[pod] = next(
            (
                o.fields["reason"]
                for o in reversed(own)
                if not o.fields["node"] and o.fields["reason"]
            ),
            "no reason was given",
        )
    late = {pod: wait for pod, wait in waits.items() if wait > within}
    named = "; ".join(f"{pod} after {seconds(w)}: {reasons[pod]}" for pod, w in late.items())
    longest = seconds(max(waits.values(), default=0.0))
    return make(
        name, not late, expected="a node for each", observed=named or f"each within {longest}",
        bound=bound, hint="nox -s status, kubectl describe nodes: what is free?",
    )  # fmt: skip


def _settled(timeline: Timeline, counts: list[Pods], load: Stage, wanted: int) -> float | None:
    """When, after the load, as few pods were there as wanted, and no more were asked for."""
    changes = [one.time for one in counts] + [one.time for one in timeline.of("hpa")]
    for at in sorted(one for one in changes if one >= load.end):
        there, hpa = pods_at(counts, at), latest(timeline, "hpa", at)
        if there and there.there == wanted and hpa and hpa.fields["desired"] == wanted:
            return at
    return None
