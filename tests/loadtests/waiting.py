"""Waiting for what happens beside a test."""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST = 60


def until(condition: Callable[[], object], what: str) -> None:
    """Come back once it holds; fails when that takes unreasonably long."""
    deadline = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < deadline, f"waited until {what}"
        time.sleep(0.02)
