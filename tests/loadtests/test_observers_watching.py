"""The observers beside an API server and a Prometheus that a test changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cluster_objects as made
import pytest
from fake_api import (
    AUTOSCALERS,
    DEPLOYMENTS,
    EVENTS,
    NODES,
    PODS,
    Api,
    kubectl_of,
)

from kindling.alerts import RECEIVER
from kindling.errors import KindlingError
from loadtests.observers import Observers, watch
from loadtests.observers.link import Address
from loadtests.timeline import Moment, Source, Timeline

WATCHDOG = {
    "labels": {"alertname": "Watchdog"},
    "state": "firing",
    "activeAt": "2026-01-01T00:00:00Z",
}
LATENCY = {
    "labels": {"alertname": "HighLatency", "model": "digits"},
    "activeAt": "2026-01-01T00:00:10Z",
}


@pytest.fixture
def server() -> Iterator[Api]:
    with Api() as server:
        server.put(NODES, made.node("n1", "cpu"))
        server.put(DEPLOYMENTS, made.deployment())
        server.put(AUTOSCALERS, made.autoscaler())
        server.put(PODS, made.pod())
        server.put(EVENTS, made.event("old", "Scheduled"))
        alerts(server, WATCHDOG)
        server.answers["/api/v1/query"] = {
            "status": "success",
            "data": {"result": [{"metric": {"pod": "serving-a"}, "value": [1, "0.25"]}]},
        }
        server.answers["/api/v2/alerts"] = [WATCHDOG]
        server.answers[RECEIVER] = {"notifications": []}
        yield server


def alerts(server: Api, *found: dict[str, Any]) -> None:
    server.answers["/api/v1/alerts"] = {"status": "success", "data": {"alerts": list(found)}}


def observers(server: Api, folder: Path, timeline: Timeline, **changed: Any) -> Observers:
    settings: dict[str, Any] = {
        "namespace": "kindling", "deployment": "serving", "hpa": "serving",
        "prometheus_url": server.url, "alertmanager_url": server.url, "poll_seconds": 0.05,
        "start_seconds": 10,
    }  # fmt: skip
    return Observers(kubectl_of(server.url, folder), timeline, **settings | changed)


def arrives(timeline: Timeline, source: Source, want: Callable[[Moment], object]) -> Moment:
    """The first moment that ``want`` takes, bounded."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for moment in timeline.of(source):
            if want(moment):
                return moment
        time.sleep(0.01)
    raise AssertionError(f"no such {source}: {[m for m in timeline if m.source == source]}")


def test_on_entry_the_first_state_is_there(server: Api, tmp_path: Path) -> None:
    timeline = Timeline()
    with observers(server, tmp_path, timeline) as watching:
        seen = {moment.source for moment in timeline}
        states = {m.name: m.fields["state"] for m in timeline.of("observer")}
    assert {"pod", "deployment", "hpa", "metrics", "alert", "observer"} <= seen
    assert states == dict.fromkeys(watching.names, "connected")
    assert sorted(states) == [
        "alert", "alertmanager", "deployment", "event", "hpa", "metrics", "notification", "pod",
    ]  # fmt: skip
    (pod,) = timeline.of("pod")
    assert (pod.name, pod.fields["pool"]) == ("serving-a", "cpu")
    # What had happened before is no news.
    assert not timeline.of("event")
    assert watching.cpu_share > 0


def test_each_change_is_one_moment(server: Api, tmp_path: Path) -> None:
    timeline = Timeline()
    with observers(server, tmp_path, timeline):
        server.put(AUTOSCALERS, made.autoscaler(desired=3))
        server.put(AUTOSCALERS, made.autoscaler(desired=3))
        server.put(EVENTS, made.event("e1", "SuccessfulRescale"))
        server.put(NODES, made.node("n2", "gpu"))
        server.put(PODS, made.pod("serving-b", node="n2", ready=False))
        server.put(PODS, made.pod("serving-b", node="n2"))
        server.put(PODS, made.pod("serving-b", node="n2"), "DELETED")
        server.put(DEPLOYMENTS, made.deployment(3))
        arrives(timeline, "pod", lambda m: m.fields["gone"])
        arrives(timeline, "hpa", lambda m: m.fields["desired"] == 3)
        arrives(timeline, "event", lambda m: m.name == "SuccessfulRescale")
        arrives(timeline, "deployment", lambda m: m.fields["wanted"] == 3)
    assert [m.fields["desired"] for m in timeline.of("hpa")] == [1, 3]
    second = timeline.of("pod", "serving-b")
    assert [(m.fields["ready"], m.fields["gone"], m.fields["pool"]) for m in second] == [
        (False, False, "gpu"), (True, False, "gpu"), (False, True, "gpu"),
    ]  # fmt: skip


def test_alerts_change_their_state(server: Api, tmp_path: Path) -> None:
    timeline = Timeline()
    with observers(server, tmp_path, timeline):
        for state in ("pending", "firing"):
            alerts(server, WATCHDOG, LATENCY | {"state": state})
            arrives(timeline, "alert", lambda m, state=state: m.fields["state"] == state)
            arrives(
                timeline,
                "alert",
                lambda m, s=state: (m.name, m.fields["state"]) == ("HighLatency", s),
            )
        alerts(server, WATCHDOG)
        arrives(timeline, "alert", lambda m: m.fields["state"] == "inactive")
    found = timeline.of("alert", "HighLatency")
    assert [m.fields["state"] for m in found] == ["pending", "firing", "inactive"]
    assert {m.fields["active_at"] for m in found} == {1767225610.0}
    assert found[0].fields["labels"]["model"] == "digits"
    assert [m.fields["state"] for m in timeline.of("alert", "Watchdog")] == ["firing"]


def test_a_notification_is_told_once_by_the_receivers_clock(server: Api, tmp_path: Path) -> None:
    timeline, now = Timeline(), time.time()

    def told(at: float, status: str) -> dict[str, Any]:
        written = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
        return {
            "received": f"{written}.123456789Z", "status": status, "labels": LATENCY["labels"],
            "startsAt": "2026-01-01T00:00:10Z",
        }  # fmt: skip

    with observers(server, tmp_path, timeline):
        server.answers[RECEIVER] = {
            "notifications": [told(now - 60, "firing"), told(now + 5, "firing")]
        }
        arrives(timeline, "notification", lambda m: m.name == "HighLatency")
        server.answers[RECEIVER]["notifications"].append(told(now + 9, "resolved"))
        arrives(timeline, "notification", lambda m: m.fields["status"] == "resolved")
    found = timeline.of("notification")
    assert [m.fields["status"] for m in found] == ["firing", "resolved"]
    assert found[0].time == found[0].fields["received_at"] == int(now + 5) + 0.123456


def test_a_watch_that_broke_off_begins_with_a_list(server: Api, tmp_path: Path) -> None:
    timeline = Timeline()
    with observers(server, tmp_path, timeline):
        server.away = True
        server.cut()
        arrives(timeline, "observer", lambda m: (m.name, m.fields["state"]) == ("pod", "lost"))
        # Nobody watches while these happen.
        server.put(PODS, made.pod("serving-b"))
        server.put(PODS, made.pod(), "DELETED")
        server.away = False
        arrives(timeline, "observer", lambda m: (m.name, m.fields["state"]) == ("pod", "again"))
    assert [m.fields["gone"] for m in timeline.of("pod", "serving-a")] == [False, True]
    assert [m.fields["ready"] for m in timeline.of("pod", "serving-b")] == [True]
    states = [m.fields["state"] for m in timeline.of("observer", "pod")]
    assert states == ["connected", "lost", "again"]


def test_what_is_too_old_to_go_on_from_is_listed_anew(server: Api, tmp_path: Path) -> None:
    timeline = Timeline()
    with observers(server, tmp_path, timeline):
        server.oldest = 10**6
        server.cut()
        lost = arrives(timeline, "observer", lambda m: "no longer kept" in m.fields["text"])
        server.oldest = 0
        arrives(timeline, "observer", lambda m: (m.name, m.fields["state"]) == (lost.name, "again"))


def test_silence_is_noticed_and_dated_back(
    server: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_SILENCE_SECONDS", 0.4)
    timeline = Timeline()
    # Nothing comes for longer than that from a server that has nothing to say.
    with observers(server, tmp_path, timeline):
        lost = arrives(
            timeline, "observer", lambda m: (m.name, m.fields["state"]) == ("hpa", "lost")
        )
    assert lost.fields["text"] == "timed out"
    (connected,) = [m for m in timeline.of("observer", "hpa") if m.fields["state"] == "connected"]
    assert lost.time <= connected.time


def test_it_stops_beside_a_server_that_says_nothing(server: Api, tmp_path: Path) -> None:
    timeline = Timeline()
    with observers(server, tmp_path, timeline) as watching:
        server.silent = True
        server.put(PODS, made.pod("serving-b"))
        arrives(timeline, "pod", lambda m: m.name == "serving-b")
    seen = len(list(timeline))
    assert not [one for one in watching._observers if one._thread.is_alive()]
    server.silent = False
    server.put(PODS, made.pod("serving-c"))
    time.sleep(0.2)
    assert len(list(timeline)) == seen


def test_after_the_stop_a_late_thread_adds_nothing(server: Api) -> None:
    timeline = Timeline()
    late = watch.Watch("pod", timeline, Address(server.url), PODS, lambda item: ("a", {}))
    late.stop()
    late.add("pod", "a")
    assert not list(timeline)


def test_what_has_nothing_to_show_is_named(server: Api, tmp_path: Path) -> None:
    server.put(AUTOSCALERS, made.autoscaler(), "DELETED")
    with (
        pytest.raises(KindlingError) as raised,
        observers(server, tmp_path, Timeline(), start_seconds=1),
    ):
        pass
    assert raised.value.message == (
        "the observer of hpa has seen nothing in 1 s: there is no hpa serving"
    )
    assert raised.value.next_step == "nox -s status"


def test_a_cluster_that_does_not_answer_is_told_of(server: Api, tmp_path: Path) -> None:
    server.away = True
    with (
        pytest.raises(KindlingError, match="the observer of pods has nothing to go by"),
        observers(server, tmp_path, Timeline()),
    ):
        pass


def test_a_prometheus_that_does_not_answer_is_named(server: Api, tmp_path: Path) -> None:
    with (
        pytest.raises(KindlingError, match="the observer of alert has seen nothing in 1 s"),
        observers(
            server, tmp_path, Timeline(), prometheus_url="http://127.0.0.1:9", start_seconds=1
        ),
    ):
        pass


def test_a_kubeconfig_without_certificate_or_token_is_refused(server: Api, tmp_path: Path) -> None:
    kubectl = kubectl_of(server.url, tmp_path, user={"username": "me"})
    with (
        pytest.raises(KindlingError, match="neither a client certificate nor a token"),
        Observers(
            kubectl, Timeline(), namespace="kindling", deployment="serving", hpa=None,
            prometheus_url=None, alertmanager_url=None,
        ),
    ):  # fmt: skip
        pass
