"""``quiet``: a cluster without load for a time, a load test, and a time after it: no false alert.

Prints when each alert began to pend, fired and ended. Exit code 0; 1 where one fired that nothing
in the cluster gave a reason for, or the load test failed; 130 where it was interrupted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kindling import alerts, cluster, paths, settings
from kindling.errors import KindlingError
from loadtests.challenger import MODEL

_POLL_SECONDS = 5.0
_BEFORE_MINUTES, _AFTER_MINUTES = 30.0, 60.0
_PENDING = "pending"
# What a load test is there to cause, or to let happen, and what may be left of it for some minutes.
_OF_LOAD = "AutoscalerAtMaximum"

Labels = tuple[tuple[str, str], ...]


@dataclass
class Watch:
    """What alerts did, from one look to the next."""

    say: Callable[[str], None]
    unexpected: list[str] = field(default_factory=list)
    _known: dict[Labels, str] = field(default_factory=dict)

    def look(self, found: Sequence[Mapping[str, Any]], *, loaded: bool) -> None:
        """Tell what changed; with ``loaded`` a load test runs, or has just ended."""
        now = {tuple(sorted(one["labels"].items())): str(one["state"]) for one in found}
        for labels, state in now.items():
            if self._known.get(labels) == state:
                continue
            named = dict(labels)
            if named["alertname"] == alerts.WATCHDOG:
                continue
            expected = state == _PENDING or (loaded and _is_of_load(named))
            self.say(f"{state:<9}{_shown(named)}{'' if expected else '  <- not expected'}")
            if not expected:
                self.unexpected.append(_shown(named))
        for labels in self._known.keys() - now.keys():
            self.say(f"{'over':<9}{_shown(dict(labels))}")
        self._known = now


def main(
    argv: Sequence[str] | None = None,
    *,
    ask: Callable[[int], list[dict[str, Any]]] = alerts.ask_prometheus,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Watch and judge; see the module for the exit code."""
    parser = argparse.ArgumentParser(
        prog="nox -s quiet --",
        description=(__doc__ or "").partition("\n")[0].partition(": ")[2],
        allow_abbrev=False,
    )
    settings.add_arguments(parser)
    parser.add_argument(
        "--before", type=_minutes, default=_BEFORE_MINUTES, metavar="MINUTES",
        help=f"without load, before the load test; {_BEFORE_MINUTES:g} if left out",
    )  # fmt: skip
    parser.add_argument(
        "--after", type=_minutes, default=_AFTER_MINUTES, metavar="MINUTES",
        help=f"after the load test; {_AFTER_MINUTES:g} if left out; 0: no load test",
    )  # fmt: skip
    options = parser.parse_args(argv)
    try:
        known = cluster.known(settings.load(options.inventory, options.set).cluster_name)
        if "prometheus" not in known["ports"]:
            raise KindlingError("the cluster has no Prometheus", next_step="nox -s cluster-up")
        port = known["ports"]["prometheus"]
        watch = Watch(_say)

        def during(minutes: float, *, loaded: bool, until: Callable[[], object] = bool) -> None:
            deadline = clock() + minutes * 60
            while clock() < deadline and not until():
                watch.look(ask(port), loaded=loaded)
                sleep(_POLL_SECONDS)

        _say(f"watching for {options.before:g} minutes, without load")
        during(options.before, loaded=False)
        failed = 0
        if options.after:
            _say("load test")
            failed = _load_test(options, lambda is_over: during(60, loaded=True, until=is_over))
            _say(f"load test ended with {failed}; watching for {options.after:g} minutes more")
            during(options.after, loaded=True)
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    for one in watch.unexpected:
        print(f"not expected: {one}")
    if not watch.unexpected:
        print("no alert fired that was not to")
    return 1 if watch.unexpected or failed else 0


def _load_test(options: argparse.Namespace, during: Callable[[Callable[[], object]], None]) -> int:
    """Run it while ``during`` goes on; its exit code."""
    words = [f"--inventory={options.inventory}", *(f"--set={one}" for one in options.set)]
    process = subprocess.Popen([sys.executable, "-m", "loadtests", *words], cwd=paths.REPOSITORY)
    try:
        during(lambda: process.poll() is not None)
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _is_of_load(labels: Mapping[str, str]) -> bool:
    return labels["alertname"] == _OF_LOAD or labels.get("model") == MODEL


def _shown(labels: Mapping[str, str]) -> str:
    others = ", ".join(f"{name}={value}" for name, value in labels.items() if name != "alertname")
    return f"{labels['alertname']} ({others})"


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S}  {text}", flush=True)


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 24 * 60:
        raise argparse.ArgumentTypeError(f"not a number of minutes from 0 to 1440: {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
