"""One run at a time, and what a killed run left."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

import pytest

from kindling import lock
from kindling.errors import KindlingError
from kindling.processes import alive


def sleeper(run_id: str | None) -> subprocess.Popen[bytes]:
    env = {**os.environ}
    env.pop(lock.VARIABLE, None)
    if run_id:
        env[lock.VARIABLE] = run_id
    return subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env=env, start_new_session=True
    )


def test_a_second_run_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    file = tmp_path / "run.lock"
    file.write_text(json.dumps({"id": "x", "command": "cluster-up", "pid": 7, "since": "10:00"}))
    with file.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        before = file.read_text()
        with (
            pytest.raises(KindlingError, match=r"cluster-up is already running \(pid 7"),
            lock.hold("cluster-down", file),
        ):
            pass
        assert file.read_text() == before


def test_a_patient_run_waits_for_the_first_and_then_gives_up(tmp_path: Path) -> None:
    file = tmp_path / "run.lock"
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with (
            pytest.raises(KindlingError, match="another run is under way"),
            lock.hold("cluster-up", file, wait_seconds=0.5),
        ):
            pass
        ends = threading.Timer(0.5, held.close)
        ends.start()
        with lock.hold("cluster-up", file, wait_seconds=30):
            assert held.closed
        ends.join()


def test_what_a_killed_run_left_is_ended_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "run.lock"
    file.write_text(json.dumps({"id": "old", "command": "up", "pid": 1, "since": ""}))
    left, other, plain = sleeper("old"), sleeper("older"), sleeper(None)
    try:
        with lock.hold("cluster-up", file):
            assert left.wait(10) != 0
            assert other.poll() is None
            assert plain.poll() is None
    finally:
        for process in (left, other, plain):
            process.kill()
            process.wait()


def test_a_lock_file_that_its_holder_removed_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when ``cluster-down`` ends between another run's opening of the file and its locking."""
    file, locked = tmp_path / "run.lock", lock._locked
    stale = []

    def slow(opened: TextIO) -> bool:
        if not stale:
            stale.append(opened)
            lock.remove(file)
        return locked(opened)

    monkeypatch.setattr(lock, "_locked", slow)
    with lock.hold("cluster-up", file) as run:
        assert json.loads(file.read_text())["id"] == run.id


HOLDER = """
import os, sys, time
from pathlib import Path
from kindling import lock
if os.fork():
    time.sleep(60)
with lock.hold("cluster-up", Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_run_whose_nox_was_killed_is_ended(tmp_path: Path) -> None:
    file = tmp_path / "run.lock"
    nox = subprocess.Popen([sys.executable, "-c", HOLDER, file], stdout=subprocess.PIPE)
    assert nox.stdout is not None
    assert nox.stdout.readline() == b"held\n"
    with (
        pytest.raises(KindlingError, match="cluster-up is already running"),
        lock.hold("cluster-up", file),
    ):
        pass
    nox.kill()
    nox.wait()
    left = json.loads(file.read_text())["pid"]
    with lock.hold("cluster-down", file) as run:
        assert not alive(left)
        assert json.loads(file.read_text())["id"] == run.id
    nox.stdout.close()


def test_a_run_leaves_no_process_and_no_record(tmp_path: Path) -> None:
    file = tmp_path / "run.lock"
    with lock.hold("cluster-up", file) as run:
        child = sleeper(run.id)
        time.sleep(0.2)
    assert child.wait(10) != 0
    assert file.read_text() == ""


def test_a_process_that_ignores_the_first_signal_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_PATIENCE_SECONDS", 0.5)
    stubborn = subprocess.Popen(
        [sys.executable, "-c", "import signal, time\n"
         "signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"],
        env={**os.environ, lock.VARIABLE: "stubborn"}, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    assert lock.end_processes("stubborn") == 1
    assert stubborn.wait(10) == -9
    stubborn.stdout.close()
