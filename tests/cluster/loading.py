"""The load test's command, and what is kept of the one run that tests read."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from kindling import paths
from kindling.kubectl import Kubectl
from kindling.prometheus import Prometheus
from loadtests.judge.seen import Stage, stage
from loadtests.report.document import Document, read
from loadtests.timeline import Timeline


@dataclass(frozen=True)
class State:
    """What a load test changes, or might, and must leave as it was."""

    autoscaler: dict[str, Any]
    aliases: dict[str, str]
    versions: int
    waits: list[float]


@dataclass(frozen=True)
class LoadTest:
    """A load test that has ended: what it said and left, and the cluster before and after it."""

    done: subprocess.CompletedProcess[str]
    began: float
    folder: Path
    report: Document
    timeline: Timeline
    before: State
    after: State

    def stage(self, name: str) -> Stage:
        found = stage(self.timeline, name)
        assert found, f"the load test had no whole stage {name}"
        return found


# What depends on how much of the machine its other users leave.
SPEED = {"p95 within the objective", "answered what was asked"}


def run(folder: Path, state: Callable[[], State]) -> LoadTest:
    """The usual load test; fails where it leaves no report.

    A machine that others use too may be slow for half a minute: where nothing but ``SPEED`` fell
    short, once more. A service that is too slow falls short twice.
    """
    first = _run(folder, state)
    failed = {one["name"] for one in first.report["checks"] if one["status"] != "passed"}
    if not failed or failed - SPEED:
        return first
    return _run(folder.with_name(f"{folder.name}-again"), state)


def _run(folder: Path, state: Callable[[], State]) -> LoadTest:
    before, began = state(), time.time()
    done = loadtest(folder)
    assert (folder / "report.json").exists(), done.stdout + done.stderr
    timeline = Timeline.read(folder / "timeline.jsonl")
    return LoadTest(done, began, folder, read(folder), timeline, before, state())


def loadtest(report: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``nox -s loadtest -- WORDS``, whatever comes of it."""
    return subprocess.run(
        [sys.executable, "-m", "loadtests", *words, f"--report={report}"],
        cwd=paths.REPOSITORY, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip


def state(kubectl: Kubectl, mlflow: MlflowClient, prometheus: Prometheus) -> State:
    groups = prometheus.get("rules", type="alert")["groups"]
    return State(
        kubectl.get("horizontalpodautoscalers", "serving", "--namespace=kindling")["spec"],
        dict(mlflow.get_registered_model("digits").aliases),
        len(mlflow.search_model_versions("name = 'digits'")),
        [one["duration"] for group in groups for one in group["rules"]],
    )
