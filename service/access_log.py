"""One log line for each answered request."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache

from pydantic_core import to_json

from service.observed import Observed

_NAME = "service.access"
_logger = logging.getLogger(_NAME)


def write_lines(ended: Iterable[Observed]) -> None:
    """Write lines of the shape that all others have, as far as lines of their level are written.

    They do not take the others' way through structlog and logging: every request has one, and each
    by itself takes ten times as long to make and to write as one among many.
    """
    levels = {
        level: _logger.isEnabledFor(number)
        for level, number in (("debug", logging.DEBUG), ("info", logging.INFO))
    }
    lines: list[str] = []
    whole, shown = -1, ""
    for one in ended:
        level = "info" if one.is_counted or one.status >= 500 else "debug"
        if not levels[level]:
            continue
        if int(one.moment) != whole:
            whole = int(one.moment)
            shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        lines.append(
            f'{{"message":"request",{one.shown()},{_asked(one.method, one.path[:200])},'
            f'"status":{one.status},"duration_ms":{one.seconds * 1000:.3f},"level":"{level}",'
            f'"logger":"{_NAME}","timestamp":"{shown}.{int((one.moment - whole) * 1e6):06d}Z"}}\n'
        )
    if lines:
        # Nothing depends on whether anybody reads them.
        with suppress(OSError):
            # All are one write: no other line comes between.
            sys.stdout.buffer.write("".join(lines).encode())
            sys.stdout.buffer.flush()


@lru_cache(maxsize=256)
def _asked(method: str, path: str) -> str:
    """What of a line is the client's, as JSON."""
    return to_json({"method": method, "path": path}).decode()[1:-1]
