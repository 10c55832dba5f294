"""Nox's exit code is that of the command which failed, not 1 for whatever went wrong.

A script tells a load test that failed by it from an invalid one, and both from a mistyped option.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import sys

_codes: set[int] = set()


def record(failure: str) -> None:
    """Note the code in what Nox says of a command: ``Returned code 3``.

    The process then exits with it; with 1 where commands failed with different codes.
    """
    number = re.search(r"-?\d+$", failure)
    if not _codes:
        # Nox has no way to say it: its own code is 1 for each failure.
        atexit.register(_exit)
    code = int(number[0]) if number else 1
    # A signal that ended it is coded as shells code it.
    _codes.add(128 - code if code < 0 else code)


def _exit() -> None:
    (code,) = _codes if len(_codes) == 1 else {1}
    sys.stdout.flush()
    sys.stderr.flush()
    logging.shutdown()
    os._exit(code)
