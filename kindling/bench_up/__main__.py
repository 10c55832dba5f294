"""``nox -s bench-up``: its options, and which benchmark they choose."""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from kindling import paths
from kindling.bench_up import checkout, cold, interrupts, luck, ratios, report, warm
from kindling.bench_up.execute import Executor
from kindling.bench_up.record import Record
from kindling.errors import KindlingError

_DESCRIPTION = """\
Without --cold and --busy: a warm cluster-up beside its floor and beside serial installation.

--cold --baseline REV: the commit REV and the present checkout, each from an empty cache and state
folder with the README's first command; then an unchanged cluster-up, the size of the caches, and
cluster-down. It needs a machine on which no container engine runs, and leaves your own caches,
state and cluster as they are. A cluster-up that fails is tried again, its times are added.

--busy: cluster-up and cluster-down while a loop runs on each core; failures are counted.
"""
_EPILOG = """\
The exit code is 0 when everything could be run; 1 when something could not, when a command of the
present checkout failed, or, with --enforce, when a ratio is above its limit; 130 or 143 after an
interruption, which takes down what was started. --json FILE has the figures as they are measured.
Logs stay in the folder that the first line names.
"""
_DEFAULT_RUNS = {"warm": 3, "cold": 1, "busy": 6}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = _parsed(argv)
    try:
        with interrupts.raised():
            return _measure(options)
    except interrupts.Interrupted as interruption:
        print("interrupted; what was started is taken down", file=sys.stderr)
        return interruption.exit_code
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
    except Exception as error:
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
    return 1


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="nox -s bench-up --", description=_DESCRIPTION, epilog=_EPILOG, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--runs", type=int, help="how often each is measured (warm: 3, cold: 1, busy: 6)")
    add("--yes", action="store_true", help="warm: remove the cluster that is up now")
    add("--cold", action="store_true", help="begin from nothing; needs --baseline or --busy")
    add("--baseline", metavar="REV", help="the commit, tag or branch to compare with")
    add("--repeats", type=int, metavar="N", help="unchanged cluster-ups for a median (default 3)")
    add(
        "--tests",
        action="store_true",
        help="also time nox -s tests with the cluster, and without after cluster-down: hours",
    )
    add(
        "--enforce",
        action="store_true",
        help="exit with 1 if a ratio is above its limit, or cluster-down left something",
    )
    add("--busy", action="store_true", help="count failures while every core is busy")
    add("--cold-runs", type=int, metavar="K", help="busy: how many of the runs begin from nothing")
    add("--folder", type=Path, help="for temporary folders (default: beside your cache)")
    add("--logs", type=Path, metavar="FOLDER", help="for logs (default: a new one in --folder)")
    add("--json", type=Path, metavar="FILE", help="for all figures")
    options = parser.parse_args(argv)
    _check(parser, options)
    options.mode = "busy" if options.busy else "cold" if options.cold else "warm"
    options.runs = _DEFAULT_RUNS[options.mode] if options.runs is None else options.runs
    options.repeats = 3 if options.repeats is None else options.repeats
    if options.cold_runs is None:
        options.cold_runs = options.runs if options.cold else 0
    if options.cold_runs > options.runs:
        parser.error(f"--cold-runs {options.cold_runs} is more than --runs {options.runs}")
    options.command = ["nox", "-s", "bench-up", "--", *(sys.argv[1:] if argv is None else argv)]
    return options


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse what has no effect: it was meant otherwise."""
    if options.cold and not options.busy and not options.baseline:
        parser.error("--cold needs --baseline REV, or --busy")
    if options.baseline and (options.busy or not options.cold):
        parser.error("--baseline goes with --cold, and not with --busy")
    for name in ("tests", "enforce", "repeats"):
        if getattr(options, name) not in (None, False) and not options.baseline:
            parser.error(f"--{name} goes with --cold --baseline REV")
    if options.cold_runs is not None and (options.cold or not options.busy):
        parser.error("--cold-runs goes with --busy, and instead of --cold")
    if options.yes and (options.cold or options.cold_runs):
        parser.error("--yes is for warm runs: no cluster may be up before cold ones")
    for name in ("folder", "logs", "json"):
        if getattr(options, name) and not (options.cold or options.busy):
            parser.error(f"--{name} goes with --cold or --busy")
    for name in ("runs", "repeats"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    if options.cold_runs is not None and options.cold_runs < 0:
        parser.error("--cold-runs must be at least 0")


def _measure(options: argparse.Namespace) -> int:
    if options.mode == "warm":
        warm.measure(options.runs, remove_cluster=options.yes)
        return 0
    parent: Path = options.folder or paths.cache_dir().parent
    parent.mkdir(parents=True, exist_ok=True)
    parent = parent.resolve()
    if options.baseline:
        checkout.resolve(options.baseline)
    if options.cold_runs or options.cold:
        cold.refuse(parent)
    elif not options.yes:
        luck.refuse_cluster()
    record = Record(" ".join(options.command), options.json and options.json.absolute())
    record.save()
    if options.logs:
        options.logs.mkdir(parents=True, exist_ok=True)
    logs = options.logs or Path(tempfile.mkdtemp(prefix="kindling-bench-logs.", dir=parent))
    executor = Executor(logs.absolute())
    executor.say(f"logs: {executor.logs}")
    try:
        _run(options, parent, executor, record)
        record.complete = True
    except BaseException as error:
        record.error = repr(error) if not isinstance(error, KindlingError) else error.message
        (executor.logs / "error.log").write_text(traceback.format_exc())
        raise
    finally:
        record.save()
        report.show(record)
    return 1 if record.problems or (options.enforce and _missed(record)) else 0


def _run(options: argparse.Namespace, parent: Path, executor: Executor, record: Record) -> None:
    with ExitStack() as stack:
        if not options.cold_runs and not options.cold:
            luck.count_warm(luck.Options(options.runs, 0), executor, record)
            return
        work = stack.enter_context(cold.workspace(parent, executor))
        if options.busy:
            luck.count_cold(luck.Options(options.runs, options.cold_runs), work, executor, record)
        else:
            what = cold.Options(options.baseline, options.runs, options.repeats, options.tests)
            cold.compare(what, work, executor, record)


def _missed(record: Record) -> bool:
    missed = [ratio for ratio in ratios.ratios(record.measurements) if not ratio.met]
    return bool(missed) or any(m.left for m in record.measurements if m.build == "present")


if __name__ == "__main__":
    sys.exit(main())
