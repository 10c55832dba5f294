"""What the benchmark of ``cluster-up`` started ends with it, and nothing else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kindling import engine, paths, processes
from kindling.bench_up import __main__ as bench_up
from kindling.bench_up import interrupts, luck, traces
from kindling.bench_up.execute import Executor, Timing
from kindling.errors import KindlingError

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@contextmanager
def sleeper(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([*SLEEP, *arguments], env={**os.environ, **environment})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The machine's mounts; an engine that runs here meanwhile changes nothing of them."""
    now = traces._mounts()
    monkeypatch.setattr(traces, "_mounts", lambda: now)
    monkeypatch.setattr(traces, "_INTERFACES", ())
    monkeypatch.setattr(traces, "_rules", list)
    monkeypatch.setattr(traces, "_ENGINE_PATHS", ())
    return now


def test_a_command_past_its_limit_is_ended_with_what_it_started(tmp_path: Path) -> None:
    executor, pids = Executor(tmp_path), tmp_path / "pids"
    # The child leaves the process group, as Ansible does, and the parent ignores SIGINT.
    script = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        f"child = subprocess.Popen({SLEEP!r}, start_new_session=True)\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "print('half of it', flush=True); time.sleep(60)"
    )
    env = {**os.environ}
    with sleeper() as other, pytest.MonkeyPatch.context() as patch:
        patch.setattr("kindling.bench_up.execute._ENDINGS", ((2, 0.2), (15, 10.0), (9, 10.0)))
        with pytest.raises(KindlingError, match="last line: half of it") as late:
            executor.run([sys.executable, "-c", script], cwd=tmp_path, env=env, what="It",
                         limit_seconds=4)  # fmt: skip
        assert other.poll() is None
    assert late.value.next_step == f"less {tmp_path / '01-it.log'}"
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) == 2
    assert not any(processes.alive(pid) for pid in started)


def test_a_signal_during_the_taking_down_is_raised_after_it() -> None:
    done = []

    def take_down() -> None:
        with interrupts.raised(), interrupts.postponed(done.append):
            os.kill(os.getpid(), signal.SIGINT)
            with interrupts.postponed(done.append):
                os.kill(os.getpid(), signal.SIGTERM)
            done.append("taken down")

    with pytest.raises(interrupts.Interrupted) as interruption:
        take_down()
    assert done[-1] == "taken down"
    assert len(done) == 3
    assert interruption.value.exit_code == 130


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.raised():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_killed_nox_ends_the_benchmark(tmp_path: Path) -> None:
    script = (
        "import time\nfrom kindling.bench_up import interrupts\n"
        "try:\n"
        "    with interrupts.raised(): print('runs', flush=True); time.sleep(60)\n"
        f"except interrupts.Interrupted: open({str(tmp_path / 'end')!r}, 'w').write('ended')"
    )
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {script!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as nox:
        assert nox.stdout is not None
        assert nox.stdout.readline() == b"runs\n"
        nox.kill()
    deadline = time.monotonic() + 30
    while not (tmp_path / "end").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (tmp_path / "end").exists()


@pytest.mark.usefixtures("mounts")
def test_processes_of_a_folder_are_those_started_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    folder.mkdir()
    before = traces.Traces.now()
    with (
        sleeper(KINDLING_CACHE=f"{folder}/cache") as by_environment,
        sleeper(f"--file={folder}/log") as pager,
        subprocess.Popen(
            ["dockerd", "-c", "while :; do sleep 1; done", f"--data-root={folder}/data"],
            executable="/bin/sh",
        ) as by_argument,
    ):
        started = {by_environment.pid, by_argument.pid}
        assert {pid for pid, _ in traces.processes_of(folder)} == started
        before.clear(folder)
        assert by_environment.wait(1)
        assert by_argument.wait(1)
        assert pager.poll() is None
    assert not folder.exists()


def test_a_folder_with_a_mount_in_it_is_never_removed(
    tmp_path: Path, mounts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a root file system was being made, with the machine's own /dev in it."""
    folder = tmp_path / "bench"
    (folder / "dev").mkdir(parents=True)
    (folder / "dev" / "null").touch()
    before = traces.Traces.now()
    mounts.append(str(folder / "dev"))
    monkeypatch.setattr(traces, "_SETTLE_SECONDS", 0.1)
    with pytest.raises(KindlingError, match=f"mount {folder}/dev") as left:
        before.clear(folder)
    assert f"folder {folder}" in left.value.message
    assert (folder / "dev" / "null").exists()


def test_caches_that_down_all_forgot_are_named(tmp_path: Path) -> None:
    for name in ("cache/venvs/up", "cache/npm", "state/kindling/k"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "state" / "kindling" / "k" / "cluster.json").touch()
    assert traces.files_left(tmp_path / "cache", tmp_path / "state") == [
        f"file {tmp_path}/cache/npm",
        f"file {tmp_path}/state/kindling/k/cluster.json",
    ]


def test_warm_runs_are_of_the_users_own_cluster_and_end_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(engine, "own_pid", lambda: 1)
    calls: list[list[str]] = []

    def run(build: luck.UserBuild, command: list[str], what: str, _limit: float) -> Timing:
        calls.append(command[3:])
        assert build.environment()["KINDLING_CACHE"] == str(tmp_path / "cache")
        if len(calls) == 4:
            raise interrupts.Interrupted(signal.SIGINT)
        return Timing(0, 1.0, 1.0, str(tmp_path / "log"))

    monkeypatch.setattr(luck.UserBuild, "_run", run)
    arguments = ["--busy", "--runs", "2", "--logs", str(tmp_path / "logs")]
    assert bench_up.main([*arguments, "--json", str(tmp_path / "busy.json")]) == 130
    assert calls == [["down"], ["up"], ["down"], ["up"], ["down"]]
    assert '"complete": false' in (tmp_path / "busy.json").read_text()
    assert paths.cache_dir() == tmp_path / "cache"
    assert luck.Options(2, 0).is_cold(1) is False
