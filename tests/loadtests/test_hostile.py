"""The scenario of hostile clients: whether they were there."""

from __future__ import annotations

import pytest

from loadtests.hostile import IDLE, KINDS, Kept
from loadtests.scenarios.hostile import were_there


def kept(least: int = 1040, **ended: int) -> Kept:
    """So many at once, and of each kind 700 begun and 500 ended, or as ``ended`` has it."""
    kinds = {
        kind: {"begun": 700, "ended": ended.get(kind.replace(" ", "_"), 500), "not taken": 0}
        for kind in KINDS
    }
    return Kept(least, kinds)


def test_it_passes_with_as_many_at_once_as_there_are_to_be() -> None:
    check = were_there(kept())
    assert check.status == "passed"
    assert check.observed.startswith("at least 1040 at once; of 6300 in all, 4500 ended")
    assert were_there(kept(1000)).status == "passed"
    assert were_there(kept(999)).status == "failed"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in IDLE])
def test_a_kind_that_the_service_keeps_fails(kind: str) -> None:
    check = were_there(kept(**{kind.replace(" ", "_"): 0}))
    assert check.status == "failed"
    assert check.observed.endswith(f"none ended of: {kind}")


def test_idle_ones_may_stay() -> None:
    assert were_there(kept(**{kind.replace(" ", "_"): 0 for kind in IDLE})).status == "passed"
