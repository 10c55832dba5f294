"""Tests of a cluster run where one of ours is up, and are skipped with one line elsewhere."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import distribution
import pytest

from kindling import cluster as clusters
from kindling import retry, settings, web

# Before any test imports it: onnxruntime otherwise reports its use and keeps an id on disk.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# Servers of tests are on loopback, where the proxy of a developer's environment does not lead.
os.environ |= web.loopback_variables(os.environ)

CLUSTER_TESTS = Path(__file__).parent / "cluster"


def cluster_is_up() -> bool:
    known = clusters.facts(settings.load("local").cluster_name)
    return bool(known and known["complete"])


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    cores = len(os.sched_getaffinity(0))
    return distribution.number_of_workers(config, cores, cluster=cluster_is_up())


# After xdist's own, which says whether this process hands tests out.
@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    # A script that starts the tests in the background has it ignored, whatever they start included.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    distribution.install(config, cluster=cluster_is_up())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if cluster_is_up():
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
