"""The cold benchmark on builds that are quick: real checkouts, commands and folders."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import bench_up_fakes as fakes
import pytest

from kindling.bench_up import __main__ as bench_up
from kindling.bench_up import cold, interrupts, ratios, traces
from kindling.bench_up.build import Build
from kindling.bench_up.execute import Executor
from kindling.bench_up.interrupts import Interrupted
from kindling.bench_up.record import Measurement, Record
from kindling.errors import KindlingError

pytestmark = pytest.mark.usefixtures("quiet_machine")


def compare(
    repository: Path,
    folder: Path,
    *,
    baseline: str = "old",
    runs: int = 1,
    repeats: int = 1,
    tests: bool = False,
) -> Record:
    (folder / "logs").mkdir(parents=True)
    record, executor = Record("bench-up", folder / "figures.json"), Executor(folder / "logs")
    with cold.workspace(folder, executor, repository) as work:
        cold.compare(cold.Options(baseline, runs, repeats, tests), work, executor, record)
    return record


def test_both_builds_are_measured_from_nothing_and_gone_afterwards(
    fake_repository: Path, tmp_path: Path
) -> None:
    before = fakes.git(fake_repository, "status", "--porcelain", "--ignored")
    record = compare(fake_repository, tmp_path / "bench", repeats=3, tests=True)
    baseline, present = record.measurements
    assert (baseline.build, present.build) == ("baseline", "present")
    assert baseline.commit == fakes.git(fake_repository, "rev-parse", "old")
    for measurement in record.measurements:
        assert [timing.code for timing in measurement.tries] == [0]
        assert measurement.steps == {"kubernetes": 4.25, "engine: It runs": 2.5}
        assert len(measurement.unchanged) == 3
        assert measurement.unchanged_recap == "ok=3 changed=0 failed=0"
        assert measurement.tests_summary == "5 passed in 2 s"
        assert measurement.fast_tests_summary == "3 passed, 2 skipped in 1 s"
        assert measurement.left == []
        assert set(measurement.caches) == {"", "cache/store", "cache/venvs", "xdg/pip"}
    assert baseline.caches["cache/store"] >= 4_000_000 > present.caches["cache/store"]
    assert record.ratios["caches"]["value"] == pytest.approx(
        present.caches[""] / baseline.caches[""]
    )
    assert record.ratios["caches"]["met"]
    assert set(record.ratios) == set(ratios._JUDGED)
    assert sorted(entry.name for entry in (tmp_path / "bench").iterdir()) == [
        "figures.json",
        "logs",
    ]
    assert fakes.git(fake_repository, "status", "--porcelain", "--ignored") == before
    assert fakes.git(fake_repository, "worktree", "list").count("\n") == 0


def test_the_order_of_builds_alternates(fake_repository: Path, tmp_path: Path) -> None:
    record = compare(fake_repository, tmp_path / "bench", runs=2)
    assert [(m.run, m.build) for m in record.measurements] == [
        (1, "baseline"), (1, "present"), (2, "present"), (2, "baseline"),
    ]  # fmt: skip


def test_a_command_runs_as_a_newcomer_types_it(fake_repository: Path, tmp_path: Path) -> None:
    """In the checkout, without what nox set for the benchmark itself."""
    with cold.workspace(tmp_path, Executor(tmp_path), fake_repository) as work:
        (fake_repository / "README.md").write_text(fakes.README + "uncommitted\n")
        (fake_repository / "new").write_text("untracked")
        (fake_repository / "nox.sh.bak").symlink_to("nox.sh")
        (fake_repository / ".gitignore").unlink()
        work.take_present()
        (fake_repository / "README.md").write_text("edited while the benchmark runs\n")
        with work.build("present") as build:
            assert build.changed_files == 4
            assert "uncommitted" in (build.checkout / "README.md").read_text()
            assert (build.checkout / "nox.sh.bak").is_symlink()
            assert not (build.checkout / ".gitignore").exists()
            assert build.first_up().code == 0
            call = (build.checkout / "calls").read_text()
            environment = build.environment()
    assert "PYTHONPATH=none" in call
    assert environment["PATH"] in call
    path = os.environ["PATH"].split(os.pathsep)
    assert environment["PATH"].split(os.pathsep) == path[1:]
    assert {environment[name] for name in ("KINDLING_CACHE", "XDG_STATE_HOME")}.isdisjoint(
        os.environ.values()
    )


def test_tries_of_a_baseline_that_fails_are_added_and_said(
    fake_repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.set_behaviour(fake_repository, failures=2)
    fakes.git(fake_repository, "commit", "--quiet", "--all", "--message=fails twice")
    fakes.git(fake_repository, "tag", "failing")
    fakes.set_behaviour(fake_repository, failures=0)
    record = compare(fake_repository, tmp_path / "bench", baseline="failing")
    baseline = record.measurements[0]
    assert [timing.code for timing in baseline.tries] == [1, 1, 0]
    assert baseline.cold is not None
    assert baseline.cold.seconds == sum(timing.seconds for timing in baseline.tries)
    assert baseline.cold.cpu_seconds == sum(timing.cpu_seconds for timing in baseline.tries)
    assert baseline.steps["kubernetes"] == 3 * 4.25
    assert record.problems == []
    bench_up.report.show(record)
    assert "needed 3 tries (exit codes 1, 1, 0); added" in " ".join(capsys.readouterr().out.split())


def test_the_present_checkout_may_not_fail_even_once(fake_repository: Path, tmp_path: Path) -> None:
    fakes.set_behaviour(fake_repository, failures=1)
    record = compare(fake_repository, tmp_path / "bench")
    assert [timing.code for timing in record.measurements[1].tries] == [1, 0]
    (problem,) = record.problems
    assert "present" in problem
    assert "cold cluster-up ended with exit code 1" in problem
    assert (Path(problem.split(": ")[-1]).with_suffix("") / "events.jsonl").exists()


def test_tries_are_bounded_and_what_was_measured_is_kept(
    fake_repository: Path, tmp_path: Path
) -> None:
    fakes.set_behaviour(fake_repository, failures=9)
    with pytest.raises(KindlingError, match="pod serving: not synced yet") as failed:
        compare(fake_repository, tmp_path / "bench")
    assert failed.value.next_step.startswith("less ")
    kept = json.loads((tmp_path / "bench" / "figures.json").read_text())
    baseline, present = kept["measurements"]
    assert len(baseline["unchanged"]) == 1
    assert [timing["code"] for timing in present["tries"]] == [1, 1, 1]
    assert not list((tmp_path / "bench").glob("kindling-bench.*"))


def test_an_interruption_takes_down_what_is_up(fake_repository: Path, tmp_path: Path) -> None:
    fakes.set_behaviour(fake_repository, sleep=60)
    builds: list[Build] = []

    def interrupt(build: Build) -> None:
        while not (build.checkout / "up").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    def measure() -> None:
        with (
            interrupts.raised(),
            cold.workspace(tmp_path, Executor(tmp_path), fake_repository) as work,
        ):
            work.take_present()
            with work.build("present") as build:
                builds.append(build)
                threading.Thread(target=interrupt, args=(build,), daemon=True).start()
                build.first_up()

    with pytest.raises(Interrupted) as interruption:
        measure()
    assert interruption.value.exit_code == 143
    assert len(list(tmp_path.glob("*-cluster-down.log"))) == 1
    assert not list(tmp_path.glob("kindling-bench.*"))
    assert traces.processes_of(builds[0].folder) == []


def test_ratios_divide_figures_of_the_same_run() -> None:
    def measured(build: str, run: int, size: int) -> Measurement:
        return Measurement(build, "c", 0, run, caches={"": size})

    figures = [
        measured("baseline", 1, 100), measured("present", 1, 40),
        measured("present", 2, 300), measured("baseline", 2, 1000),
        measured("baseline", 3, 10), measured("present", 3, 5),
        measured("baseline", 4, 1),
    ]  # fmt: skip
    (ratio,) = ratios.ratios(figures)
    assert (ratio.name, ratio.value, ratio.met) == ("caches", 0.4, True)
    assert not ratios.Ratio("caches", 0.41, ratio.limit).met


@pytest.mark.parametrize(("enforce", "code"), [([], 0), (["--enforce"], 1)])
def test_a_missed_limit_counts_only_when_it_is_enforced(
    enforce: list[str], code: int, fake_repository: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(
        cold.checkout, "resolve", lambda *_: fakes.git(fake_repository, "rev-parse", "old")
    )
    real = cold.workspace
    monkeypatch.setattr(cold, "workspace", lambda *given: real(*given, fake_repository))
    fakes.set_behaviour(fake_repository, size=5_000_000)
    file = tmp_path / "figures.json"
    arguments = ["--cold", "--baseline", "old", "--repeats", "1", "--json", str(file), *enforce]
    assert bench_up.main(arguments) == code
    output = " ".join(capsys.readouterr().out.split())
    assert "0.40 missed" in output
    kept = json.loads(file.read_text())
    assert kept["complete"]
    assert not kept["ratios"]["caches"]["met"]
