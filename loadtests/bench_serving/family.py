"""All processes of a server: those that it started are its own, whatever they call themselves."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from kindling.processes import alive, parent_of

_END_SECONDS = 10.0


def members(pid: int) -> list[int]:
    """``pid`` and all that it and its children started, itself first."""
    parents = {
        int(entry.name): parent_of(int(entry.name))
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit()
    }
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def tell(pids: Sequence[int], number: signal.Signals) -> None:
    """Send a signal to those that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def memory(pids: Sequence[int]) -> int:
    """Bytes that they take together.

    What several share counts once (PSS). What one alone has in memory counts whole (RSS): others
    outside, such as the benchmark itself, may have the same libraries open.
    """
    field = "Rss:" if len(pids) == 1 else "Pss:"
    return sum(_kib(pid, field) for pid in pids) * 1024


def end(process: subprocess.Popen[bytes]) -> None:
    """End it and all that it started; the rest is not asked twice."""
    # Once it has ended, those that it started are not its children any more.
    known = members(process.pid)
    tell(known, signal.SIGCONT)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    tell([pid for pid in known if alive(pid)], signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + _END_SECONDS
    while any(map(alive, known)) and time.monotonic() < deadline:
        time.sleep(0.02)


def _kib(pid: int, field: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(field))
