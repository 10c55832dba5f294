"""Events across processes, and how they look."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from kindling import progress
from kindling.view import View


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "events"
    monkeypatch.setenv("KINDLING_EVENTS", str(file))
    return file


def test_a_step_tells_its_start_and_its_end(events: Path) -> None:
    tail = progress.Tail(events)
    with progress.step("build"):
        assert [event.state for event in tail.new()] == ["start"]
    assert [(event.step, event.state) for event in tail.new()] == [("build", "done")]
    assert tail.new() == []


def test_a_step_that_fails_says_so_and_lets_the_error_through(events: Path) -> None:
    with pytest.raises(ValueError, match="x"), progress.step("build"):
        raise ValueError("x")
    assert [event.state for event in progress.Tail(events).new()] == ["start", "failed"]


def test_half_a_line_waits_for_its_other_half(events: Path) -> None:
    tail = progress.Tail(events)
    whole = '{"step": "a", "state": "start"}\n'
    events.write_text(whole[:10])
    assert tail.new() == []
    with events.open("a") as out:
        out.write(whole[10:])
    assert [event.step for event in tail.new()] == ["a"]


def test_without_a_listener_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KINDLING_EVENTS", raising=False)
    with progress.step("build"):
        pass


def test_a_long_silence_is_broken_by_what_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    view = View(out)
    monkeypatch.setattr("kindling.view._STILL_SECONDS", 0.0)
    view.task("images: Images are there")
    view.event(progress.Event("kubernetes", "start", "seven programs"))
    view.tick()
    assert "still" in out.getvalue()
    assert "kubernetes" in out.getvalue()
    assert "seven programs" in out.getvalue()
