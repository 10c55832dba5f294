"""One log line for each answered request, at little cost."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from functools import lru_cache

from pydantic_core import to_json

from service.observed import Observed

_SECONDS = 0.05
_NAME = "service.access"
_logger = logging.getLogger(_NAME)
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO}


class AccessLog:
    """Lines of the shape that all others have, written together some milliseconds later.

    They do not take the others' way through structlog and logging: every request has one, and each
    by itself takes ten times as long to make and to write as one among many. A process that is
    killed takes those of its last moment with it.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[float, Observed, str, str, int, float, str]] = []

    def add(
        self,
        observed: Observed,
        method: str,
        path: str,
        status: int,
        seconds: float,
        *,
        level: str = "info",
    ) -> None:
        """Write the line of an answered request soon, if lines of this level are written."""
        if not _logger.isEnabledFor(_LEVELS[level]):
            return
        self._waiting.append((time.time(), observed, method, path, status, seconds, level))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_later(_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, []
        lines: list[str] = []
        whole, shown = -1, ""
        for moment, observed, method, path, status, seconds, level in waiting:
            if int(moment) != whole:
                whole = int(moment)
                shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
            lines.append(
                f'{{"message":"request",{observed.shown()},{_asked(method, path)},'
                f'"status":{status},"duration_ms":{seconds * 1000:.3f},"level":"{level}",'
                f'"logger":"{_NAME}","timestamp":"{shown}.{int((moment - whole) * 1e6):06d}Z"}}\n'
            )
        if lines:
            # All are one write: no other line comes between.
            sys.stdout.buffer.write("".join(lines).encode())
            sys.stdout.buffer.flush()


@lru_cache(maxsize=256)
def _asked(method: str, path: str) -> str:
    """What of a line is the client's, as JSON."""
    return to_json({"method": method, "path": path[:200]}).decode()[1:-1]
