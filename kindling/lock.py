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
from typing import TextIO

from kindling import paths
from kindling.errors import KindlingError
from kindling.processes import carrying, parent_of

VARIABLE = "KINDLING_RUN_ID"
_PATIENCE_SECONDS = 5.0
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Run:
    """What holds the lock. Every process of a run carries ``id`` in its environment."""

    id: str
    command: str
    pid: int
    since: str
    parent: int = 0

    @property
    def abandoned(self) -> bool:
        """Whether what started it, as a rule nox, was killed and left it behind."""
        return bool(self.parent) and parent_of(self.pid) not in (self.parent, None)


@contextlib.contextmanager
def hold(command: str, file: Path | None = None, *, wait_seconds: float = 0) -> Iterator[Run]:
    """Hold the lock while the block runs.

    What a killed run left is ended first, the run itself included where only nox was killed.
    Raises KindlingError, and touches nothing, while another run is alive, once ``wait_seconds``
    are over.
    """
    file = file or paths.state_root() / "run.lock"
    with _acquire(file, time.monotonic() + wait_seconds) as lock:
        earlier = _read(file)
        if earlier is not None:
            ended = end_processes(earlier.id)
            if ended:
                print(f"ended {ended} processes that an interrupted {earlier.command} left")
        run = Run(uuid.uuid4().hex, command, os.getpid(), time.strftime("%H:%M:%S"), os.getppid())
        lock.truncate(0)
        lock.write(json.dumps(run.__dict__))
        lock.flush()
        try:
            yield run
        finally:
            end_processes(run.id)
            lock.truncate(0)


def remove(file: Path | None = None) -> None:
    """Remove the lock's file, which the caller holds; who waits for it begins anew."""
    (file or paths.state_root() / "run.lock").unlink()


def _acquire(file: Path, deadline: float) -> TextIO:
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.open("a+")
        holder = _read(file)
        if not _locked(lock) and not (holder and holder.abandoned and _end(holder, lock)):
            lock.close()
            if time.monotonic() >= deadline:
                raise _busy(holder)
            time.sleep(_LOOK_SECONDS)
            continue
        # A run that ended in between may have removed the file, and another may hold a new one.
        if file.exists() and os.path.samestat(os.fstat(lock.fileno()), file.stat()):
            return lock
        lock.close()


def _locked(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end(holder: Run, lock: TextIO) -> bool:
    """End a run that was left behind; whether its lock is ours now."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(holder.pid, number)
        deadline = time.monotonic() + 2 * _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if _locked(lock):
                return True
            time.sleep(0.05)
    return False


def end_processes(run_id: str) -> int:
    """End every other process that carries ``run_id``; returns how many there were.

    The environment of a process tells, so nothing else can be hit, whatever its parent.
    """
    mark = f"{VARIABLE}={run_id}".encode()
    ended: set[int] = set()
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (alive := carrying(mark)) and time.monotonic() < deadline:
            for pid in alive:
                if pid not in ended or number == signal.SIGKILL:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, number)
                ended.add(pid)
            time.sleep(0.05)
    return len(ended)


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
