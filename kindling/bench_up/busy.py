"""Every core kept busy: one loop per core, at the same priority as what it slows."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Ends by itself should the benchmark be killed.
_LOOP = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(1_000_000):
        pass
"""


@contextmanager
def cores() -> Iterator[list[int]]:
    """Busy loops, one bound to each core, ended when the block is left; gives their pids."""
    loops: list[subprocess.Popen[bytes]] = []
    try:
        for core in sorted(os.sched_getaffinity(0)):
            # One process group, which no terminal's signal reaches.
            group = loops[0].pid if loops else 0
            command = [sys.executable, "-S", "-c", _LOOP, str(os.getpid())]
            loop = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=group)
            loops.append(loop)
            os.sched_setaffinity(loop.pid, {core})
        yield [loop.pid for loop in loops]
    finally:
        for loop in loops:
            with contextlib.suppress(ProcessLookupError):
                os.kill(loop.pid, signal.SIGKILL)
        for loop in loops:
            loop.wait()
