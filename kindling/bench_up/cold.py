"""A commit and the present checkout, each brought up from nothing and taken down again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kindling import paths, settings
from kindling.bench_up import checkout, interrupts, machine, ratios
from kindling.bench_up.build import Build
from kindling.bench_up.execute import Executor, Timing, last_lines
from kindling.bench_up.record import Measurement, Record
from kindling.errors import KindlingError

_MAX_TRIES = 3
_LAST_LINES = 12
_LONGEST_BUILD = "baseline"


@dataclass(frozen=True)
class Options:
    """What is measured, and how often."""

    baseline: str
    runs: int
    repeats: int
    tests: bool


class Workspace:
    """The folder below which builds have everything, and the checkouts that they start from."""

    def __init__(
        self, folder: Path, executor: Executor, repository: Path = paths.REPOSITORY
    ) -> None:
        self._folder = folder
        self._executor = executor
        self._repository = repository
        self._sources: dict[str, tuple[str, int]] = {}

    def take_present(self) -> None:
        """Copy the present checkout now, so that editing it meanwhile changes no figure."""
        self._folder.joinpath("sources").mkdir(exist_ok=True)
        self._sources["present"] = checkout.copy_present(self._source("present"), self._repository)
        checkout.first_command(self._source("present"))

    def take_baseline(self, revision: str) -> None:
        self._folder.joinpath("sources").mkdir(exist_ok=True)
        commit = checkout.resolve(revision, self._repository)
        checkout.clone(commit, self._source("baseline"), self._repository)
        checkout.first_command(self._source("baseline"))
        self._sources["baseline"] = (commit, 0)

    @contextmanager
    def build(self, name: str) -> Iterator[Build]:
        """A build with nothing in it but its checkout; all of it is gone afterwards."""
        _refuse_machine()
        commit, changed = self._sources[name]
        title = f"{name} {commit[:7]}{f'+{changed}' if changed else ''}"
        build = Build(title, self._folder / name, self._executor, commit, changed)
        try:
            build.folder.mkdir()
            shutil.copytree(self._source(name), build.checkout, symlinks=True)
            # What the build before it wrote and removed would be written to disk during this one.
            os.sync()
            yield build
        finally:
            build.take_down()

    def _source(self, name: str) -> Path:
        return self._folder / "sources" / name


@contextmanager
def workspace(
    parent: Path, executor: Executor, repository: Path = paths.REPOSITORY
) -> Iterator[Workspace]:
    """A new folder in ``parent``, removed afterwards unless a build in it could not be."""
    folder = Path(tempfile.mkdtemp(prefix="kindling-bench.", dir=parent)).resolve()
    try:
        # As open as a cache is: programs in it drop their rights.
        folder.chmod(0o755)
        yield Workspace(folder, executor, repository)
    finally:
        with interrupts.postponed(executor.say):
            shutil.rmtree(folder / "sources", ignore_errors=True)
            try:
                folder.rmdir()
            except OSError:
                executor.say(f"{folder} could not be removed")


def refuse(parent: Path) -> None:
    """Raise KindlingError where a cold start below ``parent`` cannot be measured now."""
    _refuse_machine()
    machine.refuse_folder(parent, parent / "kindling-bench.12345678" / _LONGEST_BUILD / "cache")


def _refuse_machine() -> None:
    machine.refuse_engine()
    machine.refuse_ports(settings.load().ports.values())


def compare(options: Options, work: Workspace, executor: Executor, record: Record) -> None:
    """Measure both builds ``options.runs`` times, each first in turn."""
    work.take_baseline(options.baseline)
    work.take_present()
    for run in range(1, options.runs + 1):
        order = ("baseline", "present") if run % 2 else ("present", "baseline")
        for name in order:
            with work.build(name) as build:
                measurement = Measurement(name, build.commit, build.changed_files, run)
                record.measurements.append(measurement)
                _Measuring(build, measurement, record).all_of(options)
            record.ratios = {
                ratio.name: {"value": ratio.value, "limit": ratio.limit, "met": ratio.met}
                for ratio in ratios.ratios(record.measurements)
            }
            record.save()


@dataclass(frozen=True)
class _Measuring:
    """One build's way through everything that is measured of it."""

    build: Build
    figures: Measurement
    record: Record

    def all_of(self, options: Options) -> None:
        build, figures = self.build, self.figures
        figures.foreign_load = round(machine.foreign_load(), 2)
        packages = _debian_packages()
        self._cold_up()
        figures.packages_installed = sorted(_debian_packages() - packages)
        folders = (build.cache, build.other_caches)
        figures.caches = machine.disk_usage(*(folder for folder in folders if folder.exists()))
        self.record.save()
        for number in range(1, options.repeats + 1):
            timing = build.up(f", unchanged, {number} of {options.repeats}")
            figures.unchanged.append(self._noted("unchanged cluster-up", timing))
            figures.unchanged_recap = build.recap()
            self.record.save()
        if options.tests:
            figures.tests = self._noted("tests", build.tests("with the cluster"))
            figures.tests_summary = _summary(figures.tests)
        figures.down = self._noted("cluster-down", build.down())
        if figures.down.code:
            # Its remains would be in the way of what is measured next.
            self._noted("cluster-down, again", build.down())
        if options.tests:
            figures.fast_tests = self._noted("fast tests", build.tests("without a cluster"))
            figures.fast_tests_summary = _summary(figures.fast_tests)
        figures.down_all = self._noted("cluster-down --all", build.down_all())
        figures.left = build.remains()
        self.record.save()

    def _cold_up(self) -> None:
        for attempt in range(1, _MAX_TRIES + 1):
            timing = self.build.first_up(f", try {attempt}" if attempt > 1 else "")
            self.figures.tries.append(timing)
            for name, seconds in self.build.steps().items():
                total = self.figures.steps.get(name, 0.0) + seconds
                self.figures.steps[name] = round(total, 2)
            self._noted("cold cluster-up", timing)
            if timing.code == 0:
                return
            self.build.keep_evidence(timing)
        lines = "\n  ".join(last_lines(Path(timing.log), _LAST_LINES))
        raise KindlingError(
            f"{self.build.title}: no cluster after {_MAX_TRIES} tries:\n  {lines}",
            next_step=f"less {timing.log}",
        )

    def _noted(self, what: str, timing: Timing) -> Timing:
        """``timing``, after a failure was noted: what follows is worth measuring all the same."""
        if timing.code:
            failure = f"{what} ended with exit code {timing.code}: {timing.log}"
            self.figures.failures.append(failure)
            # A baseline is what it is; the present checkout is what is judged.
            if self.figures.build == "present":
                self.record.problems.append(f"{self.build.title}: {failure}")
        self.record.save()
        return timing


def _summary(tests: Timing) -> str:
    """The line that pytest ends with."""
    lines = last_lines(Path(tests.log), 5)
    summaries = [line for line in lines if re.search(r"\d+ (passed|failed|error)", line)]
    return summaries[-1].strip("= ") if summaries else ""


def _debian_packages() -> set[str]:
    if not shutil.which("dpkg-query"):
        return set()
    listed = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package}\n"], capture_output=True, text=True
    )
    return set(listed.stdout.split())
