"""Prometheus with rules whose windows and waits are shorter, while a scenario watches an alert."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from loadtests import playbooks
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
    playbooks.run(
        "prometheus", test.inventory, {_VARIABLE: f"{factor:g}"},
        failed="Prometheus did not take the rules",
    )  # fmt: skip
