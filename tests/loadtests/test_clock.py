"""The clock of a load test, when somebody sets that of the machine."""

from __future__ import annotations

import time

import pytest

from loadtests import clock
from loadtests.test import _clock_checks


def test_it_is_unix_time_to_begin_with_and_no_step_changes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = clock.now()
    real = time.time
    assert abs(clock.stepped()) < 60
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    assert clock.now() >= before
    assert clock.stepped() < -3000


@pytest.mark.parametrize(("step", "verdicts"), [(0.4, []), (-0.4, []), (-90, ["invalid"])])
def test_a_run_in_which_the_clock_was_set_is_not_judged(
    step: float, verdicts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "stepped", lambda: step)
    checks = _clock_checks()
    assert [check.status for check in checks] == verdicts
    assert all(f"set by {step:+.1f} s" in check.observed for check in checks)
