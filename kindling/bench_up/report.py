"""The closing tables of cold and busy runs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from rich.console import Console

from kindling import table
from kindling.bench_up import machine
from kindling.bench_up.execute import Timing, duration
from kindling.bench_up.ratios import ratios
from kindling.bench_up.record import LuckyRun, Measurement, Record

_STEP_SECONDS = 2.0
_IDLE = 0.1


def show(record: Record, console: Console | None = None) -> None:
    """Print what was measured, be it all or only a part."""
    console = console or table.console()
    if record.measurements:
        _compared(record.measurements, console)
    if record.busy_runs:
        _counted(record.busy_runs, console)
    for problem in record.problems:
        console.print(f"failed: {problem}", markup=False)


def _compared(measurements: Sequence[Measurement], console: Console) -> None:
    by_build = {
        build: [m for m in measurements if m.build == build] for build in ("baseline", "present")
    }
    headings = [_heading(build, of) for build, of in by_build.items()]
    judged = {ratio.name: ratio for ratio in ratios(measurements)}
    rows = []
    for name, figure in _FIGURES.items():
        cells, values = [], []
        for of in by_build.values():
            figures = [value for m in of if (value := figure(m)) is not None]
            values.append(statistics.median(figures) if figures else None)
            cells.append(f"{values[-1]:.1f}" if values[-1] is not None else "")
        baseline, present = values
        if baseline is None and present is None:
            continue
        ratio = judged.get(name.partition(",")[0])
        if ratio and not name.endswith("CPU"):
            verdict = "met" if ratio.met else "missed"
            rows.append([name, *cells, f"{ratio.value:.2f}", f"{ratio.limit:.2f}", verdict])
        else:
            beside = f"{present / baseline:.2f}" if present is not None and baseline else ""
            rows.append([name, *cells, beside, "", ""])
    console.print()
    console.print(table.table(["", *headings, "ratio", "at most", ""], rows))
    _steps(by_build, headings, console)
    for m in measurements:
        for note in _notes(m):
            console.print(f"{m.build}, run {m.run}: {note}", markup=False)


def _seconds(timing: Timing | None, unit: float = 1.0) -> float | None:
    return timing.seconds / unit if timing else None


# Medians of the runs; CPU seconds are those of the whole machine in that time.
_FIGURES: dict[str, Callable[[Measurement], float | None]] = {
    "cold cluster-up, s": lambda m: _seconds(m.cold),
    "cold cluster-up, s of CPU": lambda m: m.cold.cpu_seconds if m.cold else None,
    "unchanged cluster-up, s": lambda m: _seconds(m.unchanged_median),
    "unchanged cluster-up, s of CPU": lambda m: (
        m.unchanged_median.cpu_seconds if m.unchanged_median else None
    ),
    "caches, GiB": lambda m: m.cache_bytes / machine.GIB if m.cache_bytes else None,
    "tests, min": lambda m: _seconds(m.tests, 60),
    "fast tests, min": lambda m: _seconds(m.fast_tests, 60),
    "cluster-down, s": lambda m: _seconds(m.down),
    "cluster-down --all, s": lambda m: _seconds(m.down_all),
}


def _heading(build: str, measurements: Sequence[Measurement]) -> str:
    if not measurements:
        return build
    changed = measurements[0].changed_files
    return f"{build} {measurements[0].commit[:7]}{f' +{changed} files' if changed else ''}"


def _steps(
    by_build: dict[str, list[Measurement]], headings: Sequence[str], console: Console
) -> None:
    """Steps of the cold ``cluster-up`` that took some seconds, the longest of either first."""
    names = {name for of in by_build.values() for m in of for name in m.steps}
    medians = {
        name: [
            statistics.median(m.steps.get(name, 0.0) for m in of) if of else 0.0
            for of in by_build.values()
        ]
        for name in names
    }
    shown = sorted(
        (name for name, values in medians.items() if max(values) >= _STEP_SECONDS),
        key=lambda name: -max(medians[name]),
    )
    rows = [[name, *(f"{v:.1f}" if v else "" for v in medians[name])] for name in shown]
    if rows:
        console.print()
        console.print(table.table(["step of the cold cluster-up, s", *headings], rows))
        console.print("Steps run beside each other; tasks, named role: task, contain them.\n")


def _notes(m: Measurement) -> list[str]:
    notes = list(m.failures)
    if len(m.tries) > 1:
        codes = ", ".join(str(timing.code) for timing in m.tries)
        times = " + ".join(f"{timing.seconds:.0f}" for timing in m.tries)
        notes.append(
            f"cluster-up needed {len(m.tries)} tries (exit codes {codes}); added: {times} s"
        )
    if m.unchanged and "changed=0" not in m.unchanged_recap:
        notes.append(f"the unchanged cluster-up says {m.unchanged_recap or 'nothing'}")
    if m.caches:
        parts = sorted(((n, size) for n, size in m.caches.items() if n), key=lambda x: -x[1])
        shown = ", ".join(f"{n} {size / machine.GIB:.1f}" for n, size in parts[:8])
        notes.append(f"caches in GiB: {shown}")
    if m.tests_summary:
        notes.append(f"tests with the cluster: {m.tests_summary}")
    if m.fast_tests_summary:
        notes.append(f"tests without: {m.fast_tests_summary}")
    if m.packages_installed:
        names = ", ".join(m.packages_installed[:12])
        notes.append(f"Debian packages that it installed and that later builds found: {names}")
    if m.foreign_load > _IDLE:
        notes.append(f"the machine was {m.foreign_load:.0%} busy before; trust the CPU seconds")
    if m.left:
        notes.append("left after cluster-down --all: " + "; ".join(m.left[:12]))
    return notes


def _counted(runs: Sequence[LuckyRun], console: Console) -> None:
    failed = sum(run.failed for run in runs)
    cold = sum(run.cold for run in runs)
    console.print(f"\n{failed} of {len(runs)} runs failed on busy cores ({cold} of them cold)")
    for kind, of in (("cold", True), ("warm", False)):
        seconds = [run.up.seconds for run in runs if run.cold == of and not run.up.code]
        if seconds:
            console.print(
                f"  {kind} cluster-up: median {duration(statistics.median(seconds))}, "
                f"{duration(min(seconds))} to {duration(max(seconds))}"
            )
