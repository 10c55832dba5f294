"""One log line for each answered request, at little cost."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Any

from pydantic_core import to_json

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
        self._waiting: list[tuple[float, dict[str, Any]]] = []

    def add(self, level: str, line: dict[str, Any]) -> None:
        """Write ``line`` soon, if lines of this level are written."""
        if not _logger.isEnabledFor(_LEVELS[level]):
            return
        line["level"] = level
        self._waiting.append((time.time(), line))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_later(_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, []
        out = bytearray()
        second, shown = -1, ""
        for moment, line in waiting:
            if int(moment) != second:
                second = int(moment)
                shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            line["logger"] = _NAME
            line["timestamp"] = f"{shown}.{int((moment - second) * 1e6):06d}Z"
            out += b'{"message":"request",' + to_json(line)[1:] + b"\n"
        if out:
            # All are one write: no other line comes between.
            sys.stdout.buffer.write(out)
            sys.stdout.buffer.flush()
