"""Runs on busy cores: the load ends, failures are counted, logs are kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import bench_up_fakes as fakes
import pytest

from kindling import processes
from kindling.bench_up import busy, cold, luck, report
from kindling.bench_up.execute import Executor
from kindling.bench_up.record import Record
from kindling.errors import KindlingError

pytestmark = pytest.mark.usefixtures("quiet_machine")


def count(fake_repository: Path, folder: Path, runs: int, cold_runs: int) -> Record:
    record, executor = Record("bench-up"), Executor(folder)
    with cold.workspace(folder, executor, fake_repository) as work:
        luck.count_cold(luck.Options(runs, cold_runs), work, executor, record)
    return record


def test_each_core_has_a_loop_of_the_same_priority_until_the_block_is_left() -> None:
    seen: list[int] = []

    def interrupted() -> None:
        with busy.cores() as loops:
            seen.extend(loops)
            assert [os.sched_getaffinity(pid) for pid in loops] == [
                {core} for core in sorted(os.sched_getaffinity(0))
            ]
            priorities = {os.getpriority(os.PRIO_PROCESS, pid) for pid in loops}
            assert priorities == {os.getpriority(os.PRIO_PROCESS, 0)}
            assert {os.getpgid(pid) for pid in loops} == {loops[0]}
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not any(processes.alive(pid) for pid in seen)


def test_loops_end_with_a_benchmark_that_is_killed() -> None:
    script = (
        "import time; from kindling.bench_up import busy\n"
        "with busy.cores() as loops: print(*loops, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as benchmark:
        assert benchmark.stdout is not None
        loops = [int(pid) for pid in benchmark.stdout.readline().split()]
        assert loops
        benchmark.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while any(processes.alive(pid) for pid in loops) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(processes.alive(pid) for pid in loops)


def test_cold_runs_are_spread_and_the_first_is_one() -> None:
    def cold_ones(runs: int, cold_runs: int) -> list[int]:
        options = luck.Options(runs, cold_runs)
        return [run for run in range(1, runs + 1) if options.is_cold(run)]

    assert cold_ones(20, 3) == [1, 7, 14]
    assert cold_ones(6, 6) == [1, 2, 3, 4, 5, 6]
    assert cold_ones(6, 1) == [1]
    assert cold_ones(6, 0) == []


def test_runs_that_fail_are_counted_and_their_last_lines_shown(
    fake_repository: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fakes.set_behaviour(fake_repository, failures=1)
    record = count(fake_repository, tmp_path, 4, 2)
    assert [(run.cold, run.up.code, run.down.code) for run in record.busy_runs] == [
        (True, 1, 0), (False, 0, 0), (True, 1, 0), (False, 0, 0),
    ]  # fmt: skip
    assert [problem.split(":")[0] for problem in record.problems] == ["run 1", "run 3"]
    log = Path(record.busy_runs[0].up.log)
    assert "not synced yet" in log.read_text()
    assert (log.with_suffix("") / "cluster.json").exists()
    report.show(record)
    output = capsys.readouterr().out
    assert output.count("pod serving: not synced yet") == 2
    assert "2 of 4 runs failed on busy cores (2 of them cold)" in output
    assert not list(tmp_path.glob("kindling-bench.*"))


def test_a_cluster_down_that_fails_twice_ends_the_benchmark(
    fake_repository: Path,
    tmp_path: Path,
) -> None:
    fakes.set_behaviour(fake_repository, down=7)
    with pytest.raises(KindlingError, match="cluster-down ended with exit code 7, twice"):
        count(fake_repository, tmp_path, 2, 1)
    assert not list(tmp_path.glob("kindling-bench.*"))
