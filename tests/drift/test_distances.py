"""PSI and Kolmogorov-Smirnov from counts, against scipy on the values themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from drift.distances import kolmogorov_smirnov, psi

# Of one value each, scipy divides by zero.
VALUES = st.lists(st.integers(0, 16), min_size=2, max_size=300)
COUNTS = st.lists(st.integers(0, 10**6), min_size=2, max_size=32)


def counted(values: Any) -> Any:
    return np.bincount(values, minlength=17)


@given(VALUES, VALUES)
@settings(deadline=None)
def test_the_test_of_the_bins_is_that_of_discrete_values(was: list[int], now: list[int]) -> None:
    expected = ks_2samp(was, now, method="asymp")
    found = kolmogorov_smirnov(counted(was), counted(now))
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-9)


def test_wider_bins_never_make_samples_look_farther_apart() -> None:
    rng = np.random.default_rng(1)
    was, now = rng.normal(size=2000), rng.normal(0.3, size=800)
    inner = np.quantile(was, np.linspace(0, 1, 33)[1:-1])
    bins = [np.bincount(np.searchsorted(inner, part), minlength=32) for part in (was, now)]
    exact = ks_2samp(was, now).statistic
    found = kolmogorov_smirnov(*bins).statistic
    assert exact - 0.03 < found <= exact


@given(COUNTS, st.integers(1, 10**6))
def test_the_same_shares_are_nowhere_apart(counts: list[int], times: int) -> None:
    reference = np.array(counts)
    assume(reference.sum() > 0)
    assert psi(reference, reference) == 0
    assert kolmogorov_smirnov(reference, reference * times).statistic == pytest.approx(0)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=32))
def test_psi_is_symmetric_finite_and_never_negative(pairs: list[tuple[int, int]]) -> None:
    was, now = (np.array(column) for column in zip(*pairs, strict=True))
    assume(was.sum() and now.sum())
    found = psi(was, now)
    assert math.isfinite(found)
    assert found >= 0
    assert found == pytest.approx(psi(now, was))


def test_psi_is_the_sum_that_books_give() -> None:
    was, now = np.array([600, 300, 100]), np.array([200, 500, 300])
    p, q = (was + 0.5) / (was + 0.5).sum(), (now + 0.5) / (now + 0.5).sum()
    assert psi(was, now) == pytest.approx(sum((p - q) * np.log(p / q)))
    assert psi(was, now) > 0.25


def test_bins_that_neither_sample_has_change_nothing() -> None:
    was, now = np.array([600, 300, 100]), np.array([200, 500, 300])
    padded = [np.concatenate([part, np.zeros(20, int)]) for part in (was, now)]
    assert psi(*padded) == psi(was, now)


@pytest.mark.parametrize("rows", [200, 500, 2000])
def test_samples_of_one_distribution_are_below_the_limit(rows: int) -> None:
    rng = np.random.default_rng(rows)
    shares = rng.dirichlet(np.ones(17))
    found = [psi(rng.multinomial(1437, shares), rng.multinomial(rows, shares)) for _ in range(300)]
    assert max(found) < 0.25
