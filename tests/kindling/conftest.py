"""What tests of the commands share."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kindling import retry


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What retries paused for, without the pause."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    # Not the modules' own functions: subprocess sleeps too, while it waits for a program.
    monkeypatch.setattr(retry, "time", SimpleNamespace(sleep=slept.append))
    monkeypatch.setattr(retry, "asyncio", SimpleNamespace(sleep=sleep))
    return slept
