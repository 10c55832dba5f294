"""Unix time that no clock step changes: durations between two readings are right.

The wall clock is read once, and places a whole run in time; from there on the monotonic clock
counts. What others put a time to, as Kubernetes does, has the wall clock's.
"""

from __future__ import annotations

import time

_offset = time.time() - time.monotonic()


def now() -> float:
    """Unix seconds by this process's clock."""
    return time.monotonic() + _offset


def offset() -> float:
    """Seconds from the monotonic clock, which processes of one machine share, to ``now``."""
    return _offset


def adopt(other: float) -> None:
    """Go on by the clock of a process of this machine whose ``offset`` that is."""
    global _offset
    _offset = other


def stepped() -> float:
    """Seconds by which the wall clock was set forward since this one began; negative if back."""
    return time.time() - now()
