"""``nox -s bench-serving``: our service beside other model servers, each at one core.

Every server has the same model and the same core, and is asked by the same load from another core,
in rounds, so that a slow minute of the machine slows all. Who is not asked is halted. Before it is
measured, a server must answer 200 held-out rows with the labels that scikit-learn gives.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from kindling import environments, paths
from kindling.bench_up import checkout
from kindling.cores import two_cores
from kindling.errors import KindlingError
from kindling.table import console as make_console
from loadtests.bench_serving import models, page, rounds, terminal
from loadtests.bench_serving.figures import judge
from loadtests.bench_serving.page import Result
from loadtests.bench_serving.peers import BASELINE, OURS, PEERS
from loadtests.bench_serving.rounds import Effort
from loadtests.report import words

_OTHERS = tuple(name for name in PEERS if name not in (OURS, BASELINE))
_REPORT = paths.REPOSITORY / "report" / "bench-serving.html"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write the page; the exit code is 1 if a limit is missed or one is absent."""
    parser = argparse.ArgumentParser(prog="nox -s bench-serving --", allow_abbrev=False)
    parser.add_argument("--rounds", type=_count, default=5, help="how often each is asked")
    parser.add_argument("--seconds", type=_seconds, default=2.5, help="for how long each time")
    parser.add_argument(
        "--only", type=_names, default=list(_OTHERS), metavar="NAME,...",
        help=f"beside which servers, of {', '.join(_OTHERS)}",
    )  # fmt: skip
    parser.add_argument(
        "--baseline", metavar="REV", help="and beside the service of this commit, tag or branch"
    )
    parser.add_argument(
        "--model", choices=models.NAMES, action="append", help="with which model; both if left out"
    )
    parser.add_argument("--report", type=Path, default=_REPORT, help="where the page is written")
    arguments = parser.parse_args(argv)
    # Whoever gives up by SIGTERM leaves no servers behind either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _measure(arguments, make_console())
    except (KindlingError, OSError) as error:
        shown = error.for_people() if isinstance(error, KindlingError) else error
        print(f"error: {shown}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _measure(arguments: argparse.Namespace, console: Console) -> int:
    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    server_core, load_core = two_cores()
    # What this process does is the load's business too.
    os.sched_setaffinity(0, {load_core})
    effort = Effort(arguments.rounds, arguments.seconds, server_core, load_core)
    names = [*([BASELINE] if arguments.baseline else []), *arguments.only]
    pythons, absent = _pythons(names, say)
    results = []
    for name in arguments.model or models.NAMES:
        say(f"\n{models.TITLES[name]}: training, and starting {len(pythons)} servers in turn")
        # Short, for the paths of sockets have a limit.
        with tempfile.TemporaryDirectory(prefix="kb") as temporary:
            folder = Path(temporary)
            model = models.make(name, folder / "model")
            baseline = paths.REPOSITORY
            if arguments.baseline:
                baseline = folder / "checkout"
                checkout.clone(checkout.resolve(arguments.baseline), baseline)
            measured = rounds.measure(model, pythons, folder, effort, say, baseline)
        results.append(Result(name, measured, judge(measured)))
    for result in results:
        terminal.show(console, result.model, result.measured, result.limits)
    for line in [*terminal.setups(list(pythons)), terminal.latency_words(), *absent]:
        say(line)
    told = f"{words.count(effort.rounds, 'round')} of {effort.seconds:g} s for each server and load"
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    arguments.report.write_text(page.render(results, told, absent))
    say(f"curves: {arguments.report}")
    missed = any(limit.held is False for result in results for limit in result.limits)
    wrong = any(one.wrong for result in results for one in result.measured.values())
    return 1 if missed or wrong or absent else 0


def _pythons(names: Sequence[str], say: rounds.Say) -> tuple[dict[str, Path], list[str]]:
    """The Python of each server, and a line for each whose environment cannot be had."""
    found, absent = {OURS: Path(sys.executable)}, []
    for name in names:
        lock = PEERS[name].lock
        if not lock:
            found[name] = Path(sys.executable)
            continue
        if not (environments.folder(lock) / "finished").exists():
            say(f"installing requirements/{lock}.txt into {environments.folder(lock)}")
        try:
            found[name] = environments.ensure(lock)
        except KindlingError as error:
            absent.append(f"not measured: {name}: it could not be installed")
            say(error.for_people())
    return found, absent


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"not a whole number of at least 1: {text}")
    return int(text)


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0.1 <= float(text) <= 600:
            return float(text)
    raise argparse.ArgumentTypeError(f"not a number from 0.1 to 600: {text}")


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in _OTHERS]:
        raise argparse.ArgumentTypeError(
            f"no such server: {', '.join(unknown)}; there are {', '.join(_OTHERS)}"
        )
    return names


if __name__ == "__main__":
    sys.exit(main())
