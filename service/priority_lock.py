"""A lock that some get before others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class PriorityLock:
    """Lets one task in at a time, those that are urgent before all others."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._is_held = False
        self._urgent = 0

    @asynccontextmanager
    async def hold(self, *, is_urgent: bool) -> AsyncIterator[None]:
        """Wait for the lock, and hold it."""
        async with self._changed:
            self._urgent += is_urgent
            try:
                await self._changed.wait_for(
                    lambda: not self._is_held and (is_urgent or not self._urgent)
                )
            finally:
                self._urgent -= is_urgent
                self._changed.notify_all()
            self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
            async with self._changed:
                self._changed.notify_all()
