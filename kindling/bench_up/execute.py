"""Timed commands: logged, reported every minute, and ended with all that they started."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kindling import processes
from kindling.bench_up import interrupts, machine
from kindling.errors import KindlingError

_VARIABLE = "KINDLING_BENCH_ID"
_HEARTBEAT_SECONDS = 60.0
# An interrupted cluster-up ends its builds and containers before itself.
_ENDINGS = ((signal.SIGINT, 60.0), (signal.SIGTERM, 20.0), (signal.SIGKILL, 10.0))
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Timing:
    """How a command ended; ``cpu_seconds`` are those of the whole machine in that time."""

    code: int
    seconds: float
    cpu_seconds: float
    log: str


class Executor:
    """Runs the commands of one benchmark, one at a time, and keeps their logs in ``logs``."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._id = uuid.uuid4().hex
        self._started = time.monotonic()
        self._count = 0

    def say(self, text: str) -> None:
        """Print a progress line; a terminal that is gone must not stop the taking down."""
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        with contextlib.suppress(OSError):
            print(f"[{minutes:4d} min {seconds:02d} s] {text}", flush=True)

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        what: str,
        limit_seconds: float,
    ) -> Timing:
        """Run ``command`` to its end, whatever its exit code is.

        Raises KindlingError at the limit. Then, and when interrupted, it is ended first with
        every process that it started.
        """
        self._count += 1
        name = re.sub(r"[^a-z0-9.]+", "-", what.lower()).strip("-")
        log = self.logs / f"{self._count:02d}-{name}.log"
        self.say(f"{what} …")
        started, busy = time.monotonic(), machine.busy_seconds()
        process = None
        try:
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command, cwd=cwd, env={**env, _VARIABLE: self._id}, stdin=subprocess.DEVNULL,
                    stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            code = self._wait(process, started, what, log, limit_seconds)
        except BaseException:
            with interrupts.postponed(self.say):
                self._end(process)
            raise
        seconds = time.monotonic() - started
        timing = Timing(code, round(seconds, 3), round(machine.busy_seconds() - busy, 2), str(log))
        self.say(f"{what}: {duration(seconds)}" + (f", exit code {code}" if code else ""))
        return timing

    def _wait(
        self, process: subprocess.Popen[bytes], started: float, what: str, log: Path, limit: float
    ) -> int:
        while True:
            elapsed = time.monotonic() - started
            if elapsed >= limit:
                raise KindlingError(
                    f"{what} did not end within {duration(limit)}; its last line: {last_line(log)}",
                    next_step=f"less {log}",
                )
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(min(_HEARTBEAT_SECONDS, limit - elapsed))
            self.say(f"{what}: {duration(time.monotonic() - started)} so far; {last_line(log)}")

    def _end(self, process: subprocess.Popen[bytes] | None) -> None:
        mark = f"{_VARIABLE}={self._id}".encode()
        for number, patience in _ENDINGS:
            running = processes.carrying(mark)
            if number == signal.SIGINT and process is not None:
                # As from a terminal: each program of the foreground ends what it started itself.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            else:
                for pid in running:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
            deadline = time.monotonic() + patience
            while processes.carrying(mark) and time.monotonic() < deadline:
                time.sleep(0.1)
                if process is not None:
                    process.poll()
            if not processes.carrying(mark):
                break
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of ``log`` that are not empty, without colours."""
    with contextlib.suppress(OSError), log.open("rb") as content:
        content.seek(max(0, log.stat().st_size - 2000 - 200 * count))
        text = _ANSI.sub("", content.read().decode(errors="replace")).replace("\r", "\n")
        return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]
    return []


def last_line(log: Path) -> str:
    lines = last_lines(log, 1)
    return lines[-1].strip()[:100] if lines else "no output yet"


def duration(seconds: float) -> str:
    """``12 min 03 s``, or ``4.2 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
