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
from typing import Any, Protocol

from kindling import alerts, cluster, paths, settings
from kindling.errors import KindlingError
from loadtests.challenger import MODEL

_POLL_SECONDS = 5.0
_BEFORE_MINUTES, _AFTER_MINUTES = 30.0, 60.0
# What a load test causes is over by then.
_OF_LOAD_MINUTES = 10.0
_LOAD_TEST_MINUTES = 40.0
# Prometheus may be busy for a moment; whoever does not see for longer cannot tell.
_BLIND_SECONDS = 60.0
_PENDING = "pending"
# A load test is there to cause it, beside what it does to its own model.
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
    watch = Watch(_say)
    try:
        known = cluster.known(settings.load(options.inventory, options.set).cluster_name)
        if "prometheus" not in known["ports"]:
            raise KindlingError("the cluster has no Prometheus", next_step="nox -s cluster-up")
        port = known["ports"]["prometheus"]
        look = _patient(lambda: ask(port), clock)

        def during(minutes: float, *, loaded: bool, until: Callable[[], object] = bool) -> None:
            deadline = clock() + minutes * 60
            while clock() < deadline and not until():
                found = look()
                if found is not None:
                    watch.look(found, loaded=loaded)
                sleep(_POLL_SECONDS)

        ended = _watch(options, during)
    except KindlingError as error:
        print(f"error: {error.for_people()}", file=sys.stderr)
        ended = 1
    except KeyboardInterrupt:
        ended = 130
    for one in watch.unexpected:
        print(f"not expected: {one}")
    if not watch.unexpected and not ended:
        print("no alert fired that was not to")
    return ended or (1 if watch.unexpected else 0)


class During(Protocol):
    """Watches for some minutes, or until something has happened."""

    def __call__(
        self, minutes: float, *, loaded: bool, until: Callable[[], object] = bool
    ) -> None: ...


def _watch(options: argparse.Namespace, during: During) -> int:
    """Watch before, in and after a load test; 1 if that failed, else 0."""
    _say(f"watching for {options.before:g} minutes, without load")
    during(options.before, loaded=False)
    if not options.after:
        return 0
    _say("load test")
    failed = _load_test(options, during)
    _say(f"load test ended with {failed}; watching for {options.after:g} minutes more")
    during(min(options.after, _OF_LOAD_MINUTES), loaded=True)
    during(options.after - _OF_LOAD_MINUTES, loaded=False)
    return 1 if failed else 0


def _patient(
    ask: Callable[[], list[dict[str, Any]]], clock: Callable[[], float]
) -> Callable[[], list[dict[str, Any]] | None]:
    """``ask``, which gives None while it fails for a moment. Raises KindlingError after it."""
    since: float | None = None

    def look() -> list[dict[str, Any]] | None:
        nonlocal since
        try:
            found = ask()
        except KindlingError as error:
            if since is None:
                since = clock()
                _say(f"not seen: {error.message}")
            elif clock() - since > _BLIND_SECONDS:
                raise
            return None
        since = None
        return found

    return look


def _load_test(options: argparse.Namespace, during: During) -> int:
    """Run it while ``during`` goes on; its exit code."""
    words = [f"--inventory={options.inventory}", *(f"--set={one}" for one in options.set)]
    process = subprocess.Popen([sys.executable, "-m", "loadtests", *words], cwd=paths.REPOSITORY)
    try:
        during(_LOAD_TEST_MINUTES, loaded=True, until=lambda: process.poll() is not None)
        if process.poll() is None:
            raise KindlingError(f"the load test did not end in {_LOAD_TEST_MINUTES:g} minutes")
        return process.returncode
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
