"""``nox -s quiet``: which alerts it lets pass, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kindling import cluster
from kindling.errors import KindlingError
from loadtests import quiet
from loadtests.challenger import MODEL

WATCHDOG = {"labels": {"alertname": "Watchdog"}, "state": "firing"}


def alert(name: str, state: str = "firing", **labels: str) -> dict[str, Any]:
    return {"labels": {"alertname": name, **labels}, "state": state}


def seen(*looks: Sequence[dict[str, Any]], loaded: bool = False) -> tuple[list[str], list[str]]:
    """What is said of these looks, and what was not expected."""
    said: list[str] = []
    watch = quiet.Watch(said.append)
    for found in looks:
        watch.look([WATCHDOG, *found], loaded=loaded)
    return said, watch.unexpected


def test_each_change_is_told_once() -> None:
    slow = alert("Slow", "pending", model="digits")
    said, unexpected = seen([], [slow], [slow], [])
    assert [line.split() for line in said] == [
        ["pending", "Slow", "(model=digits)"], ["over", "Slow", "(model=digits)"],
    ]  # fmt: skip
    assert unexpected == []


@pytest.mark.parametrize("loaded", [False, True])
def test_what_fires_without_a_reason_is_not_expected(*, loaded: bool) -> None:
    said, unexpected = seen([alert("Errors", model="digits")], loaded=loaded)
    assert unexpected == ["Errors (model=digits)"]
    assert "not expected" in said[0]


@pytest.mark.parametrize(
    "found", [alert("HighErrorRate", model=MODEL), alert("AutoscalerAtMaximum")]
)
def test_what_a_load_test_causes_is_expected_with_one_alone(found: dict[str, Any]) -> None:
    assert seen([found], loaded=True)[1] == []
    assert len(seen([found], loaded=False)[1]) == 1


@pytest.mark.parametrize(("found", "code"), [([], 0), ([alert("Errors")], 1)])
def test_its_exit_code_says_whether_it_was_quiet(
    found: list[dict[str, Any]], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def ask(port: int) -> list[dict[str, Any]]:
        return [WATCHDOG, *found] if port == 9090 else []

    assert watched(ask, tmp_path, monkeypatch) == code
    assert ("no alert fired" in capsys.readouterr().out) == (code == 0)


@pytest.mark.parametrize("word", ["--before=x", "--before=-1", "--after=nan", "--after=1441"])
def test_a_wrong_time_gets_one_clear_line(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        quiet.main([word])
    assert ended.value.code == 2
    assert "not a number of minutes from 0 to 1440" in capsys.readouterr().err.splitlines()[-1]


def watched(
    ask: Callable[[int], list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> int:
    """The exit code of a watch of three minutes, with a look each ten or twenty seconds."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    cluster.record("kindling", {"ports": {"prometheus": 9090}})
    times = iter(range(0, 10_000, 10))
    return quiet.main(
        ["--before=3", "--after=0"], ask=ask, sleep=lambda _: None, clock=lambda: next(times)
    )


def test_a_look_that_fails_is_told_and_does_not_end_the_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = iter([True, False, True, *[True] * 100])

    def ask(_: int) -> list[dict[str, Any]]:
        if not next(looks):
            raise KindlingError("Prometheus does not answer")
        return [WATCHDOG]

    assert watched(ask, tmp_path, monkeypatch) == 0
    assert capsys.readouterr().out.count("not seen: Prometheus does not answer") == 1


def test_a_prometheus_that_stays_away_ends_it_with_what_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = iter([[WATCHDOG, alert("Errors")]])

    def ask(_: int) -> list[dict[str, Any]]:
        found = next(looks, None)
        if found is None:
            raise KindlingError("Prometheus does not answer")
        return found

    assert watched(ask, tmp_path, monkeypatch) == 1
    said = capsys.readouterr()
    assert "error: Prometheus does not answer" in said.err
    assert "not expected: Errors ()" in said.out


@pytest.mark.parametrize("code", [0, 3])
def test_a_load_test_is_watched_and_its_end_is_told(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    cluster.record("kindling", {"ports": {"prometheus": 9090}})
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(quiet.sys, "executable", str(program))
    start = time.monotonic()
    # A minute of the watch is a hundredth of a second.
    ended = quiet.main(
        ["--before=1", "--after=12"],
        ask=lambda _: [WATCHDOG, alert("AutoscalerAtMaximum", "pending")],
        sleep=lambda _: time.sleep(0.01),
        clock=lambda: (time.monotonic() - start) * 6000,
    )
    assert ended == (1 if code else 0)
    assert f"load test ended with {code}" in capsys.readouterr().out
