"""How often ``cluster-up`` and ``cluster-down`` fail while every core is busy."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from kindling import cluster, engine, paths, settings
from kindling.bench_up import busy, cold, interrupts
from kindling.bench_up.build import Build
from kindling.bench_up.execute import Executor, Timing, last_lines
from kindling.bench_up.record import LuckyRun, Record
from kindling.errors import KindlingError

_LAST_LINES = 15


class UserBuild(Build):
    """The present checkout with the user's own caches and state, which stay."""

    _MODULES: ClassVar = {
        "cluster-up": ("kindling.run", "up"),
        "cluster-down": ("kindling.run", "down"),
        "status": ("kindling.status",),
    }

    @property
    def checkout(self) -> Path:
        return paths.REPOSITORY

    @property
    def cache(self) -> Path:
        return paths.cache_dir()

    @property
    def own_state(self) -> Path:
        return paths.state_root()

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def take_down(self) -> None:
        with interrupts.postponed(self.executor.say):
            if paths.has_clusters() or engine.own_pid() is not None:
                self.down()

    def session(self, name: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", *self._MODULES[name], *arguments]


@dataclass(frozen=True)
class Options:
    """How many runs, and how many of them begin from nothing, evenly spread."""

    runs: int
    cold_runs: int

    def is_cold(self, run: int) -> bool:
        """Whether ``run``, counted from 1, is one of the cold ones."""
        return run in {1 + cold * self.runs // self.cold_runs for cold in range(self.cold_runs)}


def refuse_cluster() -> None:
    """Raise KindlingError while the user's cluster is up, which warm runs would remove."""
    name = settings.load().cluster_name
    if cluster.facts(name):
        raise KindlingError(
            f"the benchmark removes the cluster {name} that is up",
            next_step="nox -s bench-up -- --busy --yes",
        )


def count_cold(options: Options, work: cold.Workspace, executor: Executor, record: Record) -> None:
    """Cold runs in folders of their own, each followed by warm ones with its caches."""
    work.take_present()
    with ExitStack() as stack:
        for run in range(1, options.runs + 1):
            if options.is_cold(run):
                stack.close()
                build = stack.enter_context(work.build("present"))
            _run(build, run, options.is_cold(run), executor, record)


def count_warm(options: Options, executor: Executor, record: Record) -> None:
    """Warm runs with the user's caches; a cluster and engine of ours are removed first."""
    with _user_build(executor) as build:
        _down(build)
        for run in range(1, options.runs + 1):
            _run(build, run, False, executor, record)


@contextmanager
def _user_build(executor: Executor) -> Iterator[Build]:
    build = UserBuild("present", paths.cache_dir(), executor)
    try:
        yield build
    finally:
        build.take_down()


def _run(build: Build, run: int, is_cold: bool, executor: Executor, record: Record) -> None:
    with busy.cores():
        up = build.first_up(f", run {run}") if is_cold else build.up(f", run {run}")
        if up.code:
            build.keep_evidence(up)
        down = _down(build)
    result = LuckyRun(run, is_cold, up, down)
    record.busy_runs.append(result)
    for name, timing in (("cluster-up", up), ("cluster-down", down)):
        if timing.code:
            record.problems.append(
                f"run {run}: {name} ended with exit code {timing.code}: {timing.log}"
            )
            for line in last_lines(Path(timing.log), _LAST_LINES):
                executor.say(f"  {line}")
    record.save()


def _down(build: Build) -> Timing:
    """``cluster-down``, a second time if it fails: the first failure is what counts."""
    timing = build.down()
    if timing.code:
        build.keep_evidence(timing)
        again = build.down()
        if again.code:
            raise KindlingError(
                f"cluster-down ended with exit code {again.code}, twice",
                next_step=f"less {again.log}",
            )
    return timing
