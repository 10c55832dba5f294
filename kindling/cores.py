"""Processor cores for a benchmark."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from kindling.errors import KindlingError


def two_cores() -> tuple[int, int]:
    """One for the servers and one for the load, not halves of the same if it can be helped.

    Raises KindlingError if there is one alone.
    """
    first, *others = sorted(os.sched_getaffinity(0))
    if not others:
        raise KindlingError(
            "there is one core, and the load needs one of its own",
            next_step="run it where there are two",
        )
    topology = Path(f"/sys/devices/system/cpu/cpu{first}/topology")
    halves: set[int] = set()
    with contextlib.suppress(OSError):
        for part in (topology / "thread_siblings_list").read_text().split(","):
            low, _, high = part.strip().partition("-")
            halves |= set(range(int(low), int(high or low) + 1))
    return first, next((core for core in others if core not in halves), others[0])
