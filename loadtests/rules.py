"""Prometheus with rules whose windows and waits are shorter, while a scenario watches an alert."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kindling import paths
from kindling.errors import KindlingError
from loadtests.loadtest import LoadTest

FACTOR = 10.0
_VARIABLE = "prometheus_rules_shortened_by"


@contextmanager
def shortened(test: LoadTest) -> Iterator[float]:
    """Divide every window and wait by what is given, never a threshold, while the block runs.

    Raises KindlingError where the rules cannot be changed; what there was is put back.
    """
    test.act("shorten rules", f"the rules' windows and waits are a {FACTOR:g}th as long")
    try:
        _apply(test, FACTOR)
        test.describe_again()
        yield FACTOR
    finally:
        test.act("restore rules", "the rules are as long as they were")
        _apply(test, 1)


def _apply(test: LoadTest, factor: float) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "kindling.run", "prometheus", *test.inventory,
            "-e", f"{_VARIABLE}={factor:g}",
        ],
        cwd=paths.REPOSITORY, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()[-8:]
        raise KindlingError(
            "Prometheus did not take the rules:\n  " + "\n  ".join(said),
            next_step="nox -s status, then nox -s cluster-up",
        )
