"""Tests of a cluster run where one of ours is up, and are skipped with one line elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from kindling import cluster as clusters
from kindling import retry, settings

# Before any test imports it: onnxruntime otherwise reports its use and keeps an id on disk.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

CLUSTER_TESTS = Path(__file__).parent / "cluster"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    known = clusters.facts(settings.load("local").cluster_name)
    if known and known["complete"]:
        return
    absent = pytest.mark.skip(reason="no cluster of ours is up: nox -s cluster-up")
    for item in items:
        if item.path.is_relative_to(CLUSTER_TESTS):
            item.add_marker(absent)


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
