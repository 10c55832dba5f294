"""Looking at processes by pid."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether ``pid`` runs; one that has ended and was not yet waited for does not."""
    fields = _stat(pid)
    return bool(fields) and fields[0] != "Z"


def parent_of(pid: int) -> int | None:
    """The parent of ``pid``, or None where there is no such process."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def carrying(mark: bytes) -> list[int]:
    """Every other process with ``mark``, as in ``NAME=value``, in its environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def _stat(pid: int) -> list[str]:
    """State, parent and so on: what follows the name, which may hold spaces, in /proc/PID/stat."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []
