"""The figures of a benchmark, written to a JSON file as they come."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from kindling.bench_up import machine
from kindling.bench_up.execute import Timing


@dataclass
class Measurement:
    """One build's figures in one run; what was not measured yet is empty."""

    build: str
    commit: str
    changed_files: int
    run: int
    foreign_load: float = 0.0
    tries: list[Timing] = field(default_factory=list)
    steps: dict[str, float] = field(default_factory=dict)
    # Bytes of all caches under "", and of each.
    caches: dict[str, int] = field(default_factory=dict)
    unchanged: list[Timing] = field(default_factory=list)
    unchanged_recap: str = ""
    tests: Timing | None = None
    tests_summary: str = ""
    fast_tests: Timing | None = None
    fast_tests_summary: str = ""
    down: Timing | None = None
    down_all: Timing | None = None
    left: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    packages_installed: list[str] = field(default_factory=list)

    @property
    def cold(self) -> Timing | None:
        """All tries together, once one has succeeded."""
        if not self.tries or self.tries[-1].code:
            return None
        return _combined(self.tries, sum)

    @property
    def unchanged_median(self) -> Timing | None:
        """Of those that succeeded."""
        succeeded = [timing for timing in self.unchanged if not timing.code]
        return _combined(succeeded, statistics.median) if succeeded else None

    @property
    def cache_bytes(self) -> int | None:
        return self.caches.get("")


def _combined(timings: Sequence[Timing], combine: Callable[[list[float]], float]) -> Timing:
    return replace(
        timings[-1],
        seconds=combine([timing.seconds for timing in timings]),
        cpu_seconds=combine([timing.cpu_seconds for timing in timings]),
    )


@dataclass(frozen=True)
class LuckyRun:
    """One ``cluster-up`` and ``cluster-down`` on a busy machine."""

    run: int
    cold: bool
    up: Timing
    down: Timing

    @property
    def failed(self) -> bool:
        return bool(self.up.code or self.down.code)


@dataclass
class Record:
    """All of a benchmark. ``problems`` make its exit code 1."""

    command: str
    file: Path | None = None
    started_at: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    complete: bool = False
    measurements: list[Measurement] = field(default_factory=list)
    busy_runs: list[LuckyRun] = field(default_factory=list)
    ratios: dict[str, dict[str, float | bool]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    # What ended it before its end.
    error: str = ""

    def save(self) -> None:
        """Write the JSON file, if one is wanted, so that a reader never sees half of it."""
        if self.file is None:
            return
        content = {**asdict(self), "machine": machine.facts()}
        del content["file"]
        new = self.file.with_name(f"{self.file.name}.new")
        new.write_text(json.dumps(content, indent=1) + "\n")
        new.replace(self.file)
