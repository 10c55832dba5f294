"""``nox -s alerts``: what it says, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from doctor_fakes import FACTS
from loopback import JsonHandler, Loopback

from kindling import alerts, cluster
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl


@pytest.fixture(autouse=True)
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster is recorded."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    cluster.record("kindling", FACTS | {"ports": {"prometheus": 9090}})


def alert(name: str, state: str = "firing", summary: str = "") -> dict[str, Any]:
    return {
        "labels": {"alertname": name, "severity": "critical"},
        "annotations": {"summary": summary},
        "state": state,
        "activeAt": "2026-01-01T10:00:00.123456789Z",
        "firingSince": "2026-01-01T10:05:00+00:00" if state == "firing" else None,
    }


def notification(name: str, status: str) -> dict[str, Any]:
    return {**alert(name), "status": status, "received": "2026-01-01T12:01:00.1+02:00"}


def run(
    *found: dict[str, Any], notified: list[dict[str, Any]] | None = None, words: str = ""
) -> int:
    return alerts.main(words.split(), prometheus=lambda _: list(found), receiver=lambda _: notified)


def test_with_the_watchdog_alone_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(alert("Watchdog"), notified=[]) == 0
    assert "all is well" in capsys.readouterr().out


def test_what_fires_comes_first_and_decides_the_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = [alert("Watchdog"), alert("Slow", "pending"), alert("Errors", summary="half fail")]
    words = "--exit-code"
    assert run(*found, notified=[notification("Errors", "firing")], words=words) == 3
    out = capsys.readouterr().out
    assert "half fail" in out
    assert out.index("Errors") < out.index("Slow")
    assert "2026-01-01 10:01:00" in out
    assert run(alert("Watchdog"), alert("Slow", "pending"), notified=[], words=words) == 0
    # An alert that fires is what the command is there to tell, and no failure of its own.
    assert run(*found, notified=[]) == 0


def test_a_watchdog_that_is_silent_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    run(notified=None)
    out = capsys.readouterr().out
    assert "Watchdog does not fire" in out
    assert "no receiver of notifications answers" in out


def test_the_last_notifications_are_shown_and_all_is_well_only_if_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = [notification(f"Alert{number:02}", "firing") for number in range(20)]
    run(alert("Watchdog"), alert("Slow", "pending"), notified=kept)
    out = capsys.readouterr().out
    assert "last of 20 notifications" in out
    assert [f"Alert{number:02}" in out for number in range(20)] == [False] * 10 + [True] * 10
    assert "all is well" not in out


class Rules(Loopback):
    """Prometheus' answer about its rules, of which one fires and one pends."""

    handler = JsonHandler

    def answer(self, query: dict[str, list[str]]) -> tuple[int, Any]:
        assert query == {"type": ["alert"]}
        active = {"activeAt": "2026-01-01T10:00:00.5Z", "annotations": {}, "value": "1"}
        rules = [
            {
                "name": name,
                "duration": 100,
                "alerts": [{**active, "labels": {"alertname": name}, "state": state}],
            }
            for name, state in (("Errors", "firing"), ("Slow", "pending"))
        ]
        groups = [{"interval": 15, "rules": [*rules, {"duration": 0, "alerts": []}]}]
        return 200, {"data": {"groups": groups}}


def test_an_alert_fires_later_than_it_is_active(capsys: pytest.CaptureFixture[str]) -> None:
    with Rules() as prometheus:
        found = alerts.ask_prometheus(prometheus.port)
    assert {one["labels"]["alertname"]: one["firingSince"] for one in found} == {
        # After 100 s, at the next evaluation of its group.
        "Errors": "2026-01-01T10:01:45.500000+00:00",
        "Slow": None,
    }
    run(*found, notified=[])
    out = capsys.readouterr().out
    assert "active since" in out
    assert "2026-01-01 10:00:00" in out
    assert "2026-01-01 10:01:45" in out


@pytest.mark.parametrize("said", ["", "not found", "{}", "null", "[]"])
def test_what_is_no_answer_of_a_receiver_is_as_if_there_were_none(
    tmp_path: Path, said: str
) -> None:
    binary = tmp_path / "kubectl"
    binary.write_text(f"#!/bin/sh\necho '{said}'\n")
    binary.chmod(0o755)
    assert alerts.ask_receiver(Kubectl(binary, tmp_path / "config", "here")) is None


def test_programs_get_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    kept = [notification("A", "resolved")] * 20
    run(alert("Watchdog"), notified=kept, words="--json")
    shown = json.loads(capsys.readouterr().out)
    assert (len(shown["alerts"]), len(shown["notifications"])) == (1, 20)


def test_a_prometheus_that_does_not_answer_is_an_error_with_a_next_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(KindlingError, match="Prometheus does not answer at"):
        alerts.ask_prometheus(1)
    cluster.record("kindling", FACTS)
    assert run() == 1
    assert "the cluster has no Prometheus" in capsys.readouterr().err
