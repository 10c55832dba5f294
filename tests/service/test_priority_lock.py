"""Who gets a lock that some get before others."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from service.priority_lock import PriorityLock


def test_the_urgent_come_first_and_one_at_a_time() -> None:
    order: list[str] = []

    async def work(lock: PriorityLock, name: str, *, is_urgent: bool) -> None:
        async with lock.hold(is_urgent=is_urgent):
            order.append(f"{name} begins")
            await asyncio.sleep(0.01)
            order.append(f"{name} ends")

    async def ask() -> None:
        lock = PriorityLock()
        async with asyncio.TaskGroup() as tasks:
            for name in ("first", "second", "urgent", "cancelled"):
                task = tasks.create_task(
                    work(lock, name, is_urgent=name in ("urgent", "cancelled"))
                )
                await asyncio.sleep(0)
            await asyncio.sleep(0.005)
            # One that is waited for no more is not waited for by others.
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(asyncio.wait_for(ask(), 10))
    assert order == [
        f"{name} {what}" for name in ("first", "urgent", "second") for what in ("begins", "ends")
    ]
