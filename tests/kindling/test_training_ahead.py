"""The sample models' training beside cluster-up: when it starts, how, and that it ends with it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kindling import cluster, environments, lock, paths, run, settings, training_ahead
from kindling.processes import alive
from kindling.settings import Settings

# Stands in for the pipeline's Python: says what it was started with, and trains until it is told.
PYTHON = """#!/bin/sh
cd "$KINDLING_CACHE"
[ "$1" = -m ] || { echo "$@" > after.new; mv after.new after; exit; }
{ echo $$; echo "$@"; ps -o ni= -p $$; tail -c 3 /proc/$$/autogroup || echo 19
  echo "$KINDLING_EVENTS"; } > started.new
mv started.new started
while [ ! -e trained ]; do sleep 0.05; done
"""


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file where the pipeline's Python says what it was started with."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))
    made = environments.folder("models")
    (made / "bin").mkdir(parents=True)
    (made / "bin" / "python").write_text(PYTHON)
    (made / "bin" / "python").chmod(0o755)
    (made / "finished").touch()
    return tmp_path / "cache" / "started"


def beside(*overrides: str) -> contextlib.AbstractContextManager[None]:
    env = {**os.environ, lock.VARIABLE: "of-a-test", "KINDLING_EVENTS": "/nowhere"}
    return training_ahead.beside(settings.load(overrides=overrides), env)


def test_it_trains_at_the_lowest_priority_and_ends_with_the_run(started: Path) -> None:
    with beside():
        pid, words, priority, group, events = wait_for(started)
        assert words == "-m kindling.train --no-register digits text"
        assert priority.strip() == "19"
        assert group.strip() == "19", "the scheduler compares whole sessions, by their own value"
        assert not events, "its steps would be shown as those of another task"
        assert alive(int(pid))
    assert not alive(int(pid))


def test_what_registering_imports_is_compiled_after_the_training(started: Path) -> None:
    with beside():
        wait_for(started)
        assert not started.with_name("after").exists()
        started.with_name("trained").touch()
        assert wait_for(started.with_name("after")) == ["-c import pipeline.registration"]


def wait_for(file: Path) -> list[str]:
    deadline = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return file.read_text().splitlines()


@pytest.mark.parametrize(
    "overrides", ["models_sample=[]", "models_sample='{{ some }}'", "cluster_name=there"]
)
def test_where_there_is_a_cluster_or_nothing_to_train_nothing_starts(
    started: Path, overrides: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    cluster.record("there", {"complete": False})
    monkeypatch.setattr(subprocess, "Popen", never)
    with beside(overrides):
        pass


def test_without_an_environment_it_ends_and_says_nothing(
    started: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (environments.folder("models") / "finished").unlink()
    monkeypatch.setenv(paths.NOX_PYTHON, str(tmp_path / "without-uv" / "python"))
    assert subprocess.run(
        [sys.executable, "-m", "kindling.training_ahead", "digits"], check=False
    ).returncode == 1  # fmt: skip
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("words", "starts"), [(["up"], 1), (["up", "--check"], 0), (["down"], 0)])
def test_only_a_cluster_up_that_changes_things_trains(
    words: list[str], starts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))
    seen: list[str] = []

    def playbook(arguments: object, overrides: object, run_id: str) -> int:
        assert seen == [run_id] * starts
        return 1

    def noted(chosen: Settings, env: dict[str, str]) -> contextlib.nullcontext[None]:
        seen.append(env[lock.VARIABLE])
        return contextlib.nullcontext()

    monkeypatch.setattr(run, "_refuse_hopeless", lambda _: None)
    monkeypatch.setattr(run, "_playbook", playbook)
    monkeypatch.setattr(training_ahead, "beside", noted)
    assert run.main(words) == 1
    assert len(seen) == starts
