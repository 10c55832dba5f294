"""One run at a time, and an end to what a killed run left running."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kindling import paths
from kindling.errors import KindlingError

VARIABLE = "KINDLING_RUN_ID"
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Run:
    """What holds the lock. Every process of a run carries ``id`` in its environment."""

    id: str
    command: str
    pid: int
    since: str


@contextlib.contextmanager
def hold(command: str, file: Path | None = None) -> Iterator[Run]:
    """Hold the lock while the block runs.

    Processes that a killed run left are ended first. Raises KindlingError, and touches
    nothing, while another run is alive.
    """
    file = file or paths.state_root() / "run.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(_read(file)) from None
        earlier = _read(file)
        if earlier is not None:
            ended = end_processes(earlier.id)
            if ended:
                print(f"ended {ended} processes that an interrupted {earlier.command} left")
        run = Run(uuid.uuid4().hex, command, os.getpid(), time.strftime("%H:%M:%S"))
        lock.truncate(0)
        lock.write(json.dumps(run.__dict__))
        lock.flush()
        try:
            yield run
        finally:
            end_processes(run.id)
            lock.truncate(0)


def end_processes(run_id: str) -> int:
    """End every other process that carries ``run_id``; returns how many there were.

    The environment of a process tells, so nothing else can be hit, whatever its parent.
    """
    mark = f"{VARIABLE}={run_id}".encode()
    ended: set[int] = set()
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (alive := _carrying(mark)) and time.monotonic() < deadline:
            for pid in alive:
                if pid not in ended or number == signal.SIGKILL:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, number)
                ended.add(pid)
            time.sleep(0.05)
    return len(ended)


def _carrying(mark: bytes) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def _read(file: Path) -> Run | None:
    try:
        return Run(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _busy(other: Run | None) -> KindlingError:
    who = "another run is under way"
    if other:
        who = f"{other.command} is already running (pid {other.pid}, since {other.since})"
    return KindlingError(who, next_step="wait for it to end, or end it, and try again")
