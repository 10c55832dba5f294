"""What happened, in words and in intervals: stages, alerts, the events worth a reader's time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from loadtests.report.series import scaled
from loadtests.timeline import Moment, Timeline

# More than this is not read; all of it is in timeline.jsonl.
MOST_EVENTS = 250
# What Kubernetes says of every pod that starts well.
_DULL = {"Pulled", "Pulling", "Created", "Started", "Scheduled", "SuccessfulCreate", "Killing",
         "SuccessfulDelete", "ScalingReplicaSet", "SuccessfulRescale"}  # fmt: skip
_SERIOUS = {"FailedScheduling", "BackOff", "OOMKilling", "Evicted", "FailedMount", "FailedCreate",
            "FailedGetResourceMetric", "FailedGetPodsMetric", "FailedComputeMetricsReplicas",
            "NodeNotReady"}  # fmt: skip

# It fires all the time, and says so to somebody who listens for its silence.
_CONSTANT = "Watchdog"

Happening = dict[str, Any]


def stages(timeline: Timeline, ended: float) -> list[Happening]:
    """Each stage with its begin and end; one that was cut off ends with the run."""
    done: list[Happening] = []
    still: dict[str, Happening] = {}
    for moment in timeline.of("stage"):
        if moment.fields.get("phase") == "end":
            if moment.name in still:
                still.pop(moment.name)["end"] = moment.time
            continue
        stage = {"name": moment.name, "begin": moment.time, "end": ended,
                 "rate": _number(moment, "rate"), "users": _number(moment, "users")}  # fmt: skip
        still[moment.name] = stage
        done.append(stage)
    return done


def alerts(timeline: Timeline, ended: float) -> list[Happening]:
    """Each interval in which an alert pended or fired; ``end`` is the run's for one that lasts."""
    done: list[Happening] = []
    still: dict[str, Happening] = {}
    for moment in _but_constant(timeline.of("alert")):
        labels = _labels(moment)
        key = f"{moment.name} {sorted(labels.items())}"
        state = moment.fields.get("state")
        if key in still and still[key]["state"] != state:
            still.pop(key)["end"] = moment.time
        if state in ("pending", "firing") and key not in still:
            still[key] = {"name": moment.name, "state": state, "begin": moment.time,
                          "end": ended, "labels": labels}  # fmt: skip
            done.append(still[key])
    return done


def notifications(timeline: Timeline) -> list[Happening]:
    """When each notification arrived at the receiver."""
    found = []
    for moment in _but_constant(timeline.of("notification")):
        received = _number(moment, "received_at")
        found.append(
            {"name": moment.name, "status": str(moment.fields.get("status", "")),
             "time": moment.time if received is None else received, "labels": _labels(moment)}
        )  # fmt: skip
    return sorted(found, key=lambda one: one["time"])


def lost(timeline: Timeline, ended: float) -> list[Happening]:
    """Intervals in which an observer saw nothing."""
    done: list[Happening] = []
    still: dict[str, Happening] = {}
    for moment in timeline.of("observer"):
        if moment.fields.get("state") == "lost":
            if moment.name not in still:
                still[moment.name] = {"name": moment.name, "begin": moment.time, "end": ended}
                done.append(still[moment.name])
        elif moment.name in still:
            still.pop(moment.name)["end"] = moment.time
    return done


def events(timeline: Timeline) -> tuple[list[Happening], int]:
    """The main events in order of time, and how many more there were.

    ``marked`` are those that get a mark in the charts: what was done to the environment, and
    what went wrong in it.
    """
    found = [*_actions(timeline), *_alerts(timeline), *_scaling(timeline), *_pods(timeline),
             *_kubernetes(timeline), *_observers(timeline)]  # fmt: skip
    found.sort(key=lambda event: (event["time"], event["text"]))
    if len(found) <= MOST_EVENTS:
        return found, 0
    kept = [e for e in found if e["marked"]][:MOST_EVENTS]
    rest = [e for e in found if not e["marked"]][: MOST_EVENTS - len(kept)]
    return sorted([*kept, *rest], key=lambda e: e["time"]), len(found) - len(kept) - len(rest)


def _event(time: float, source: str, label: str, text: str, marked: bool = False) -> Happening:
    return {"time": time, "source": source, "label": label, "text": text, "marked": marked}


def _actions(timeline: Timeline) -> Iterator[Happening]:
    for m in timeline.of("action"):
        text = str(m.fields.get("text") or "")
        yield _event(m.time, "action", m.name, f"{m.name}: {text}" if text else m.name, True)


def _alerts(timeline: Timeline) -> Iterator[Happening]:
    state: dict[str, str] = {}
    for m in _but_constant(timeline.of("alert")):
        now, key = str(m.fields.get("state")), f"{m.name} {sorted(_labels(m).items())}"
        before = state.get(key, "inactive")
        state[key] = now
        if now == before:
            continue
        words = {"pending": "pends", "firing": "fires", "inactive": "is over"}.get(now, now)
        yield _event(m.time, "alert", m.name, f"{m.name} {words}{_shown(m)}")
    for one in notifications(timeline):
        text = f"{one['name']} was notified as {one['status']}"
        yield _event(one["time"], "notification", one["name"], text)


def _scaling(timeline: Timeline) -> Iterator[Happening]:
    name = scaled(timeline)
    for source, key, words in (
        ("hpa", "desired", "the autoscaler wants {} pods"),
        ("deployment", "ready", "{} pods are ready"),
    ):
        before = None
        for m in timeline.of(source, name):  # type: ignore[arg-type]
            now = m.fields.get(key)
            if before is not None and now is not None and now != before:
                text = words.format(now).replace("1 pods are", "1 pod is") + f", before {before}"
                yield _event(m.time, source, str(now), text.replace(" 1 pods", " 1 pod"))
            before = before if now is None else now


def _pods(timeline: Timeline) -> Iterator[Happening]:
    seen: dict[str, dict[str, Any]] = {}
    for m in timeline.of("pod"):
        first, before, now = m.name not in seen, seen.get(m.name, {}), m.fields
        seen[m.name] = {**before, **now}
        if first:
            # What already stood when the run began is no event.
            continue
        if now.get("gone") and not before.get("gone"):
            yield _event(m.time, "pod", "pod gone", f"pod {m.name} is gone")
        if _restarts(now) > _restarts(before):
            text = f"pod {m.name} has restarted: {_restarts(now)} times by now"
            yield _event(m.time, "pod", "restart", text, True)
        if now.get("ready") and not before.get("ready"):
            where = f" on {seen[m.name]['node']}" if seen[m.name].get("node") else ""
            yield _event(m.time, "pod", "pod ready", f"pod {m.name} is ready{where}")
        if now.get("reason") and now.get("reason") != before.get("reason"):
            yield _event(m.time, "pod", "pod waits", f"pod {m.name} waits: {now['reason']}")


def _restarts(fields: dict[str, Any]) -> int:
    found = fields.get("restarts")
    return found if isinstance(found, int) else 0


def _kubernetes(timeline: Timeline) -> Iterator[Happening]:
    said: set[tuple[str, str]] = set()
    for m in timeline.of("event"):
        key = (m.name, str(m.fields.get("object")))
        if m.name in _DULL or key in said:
            continue
        said.add(key)
        what = " ".join(str(m.fields[k]) for k in ("kind", "object") if m.fields.get(k))
        text = ": ".join(part for part in (f"{m.name} {what}".strip(),
                                           str(m.fields.get("message") or "")) if part)  # fmt: skip
        yield _event(m.time, "event", m.name, text, m.name in _SERIOUS)


def _observers(timeline: Timeline) -> Iterator[Happening]:
    for m in timeline.of("observer"):
        state = str(m.fields.get("state"))
        if state in ("lost", "again"):
            words = "sees nothing any more" if state == "lost" else "sees again"
            text = f"the observer of {m.name} {words}"
            if m.fields.get("text"):
                text += f": {m.fields['text']}"
            yield _event(m.time, "observer", f"{m.name} {state}", text, state == "lost")


def _but_constant(moments: Sequence[Moment]) -> list[Moment]:
    return [moment for moment in moments if moment.name != _CONSTANT]


def _labels(moment: Moment) -> dict[str, str]:
    labels = moment.fields.get("labels")
    return {str(k): str(v) for k, v in labels.items()} if isinstance(labels, dict) else {}


def _shown(moment: Moment) -> str:
    """Those labels that tell one instance of an alert from another."""
    told: Sequence[str] = [
        f"{k}={v}" for k, v in sorted(_labels(moment).items()) if k not in ("alertname", "severity")
    ]
    return f" ({', '.join(told)})" if told else ""


def _number(moment: Moment, key: str) -> float | None:
    value = moment.fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
