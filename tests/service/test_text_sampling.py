"""Drawing tokens: greedy, by temperature, from a nucleus, with a seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from service.errors import PredictionFailedError
from service.text_sampling import CANDIDATES, Sampler, Sampling


def logits(*shares: float) -> NDArray[np.float32]:
    """Logits of tokens with these shares."""
    with np.errstate(divide="ignore"):
        return np.log(np.array(shares)).astype(np.float32)


def firsts(sampling: Sampling, values: NDArray[np.float32], draws: int) -> Counter[int]:
    """How often each token came first in that many draws."""
    sampler = Sampler(sampling)
    return Counter(next(sampler.draw(values)) for _ in range(draws))


def test_without_temperature_the_likeliest_come_in_order() -> None:
    sampler = Sampler(Sampling(temperature=0))
    assert list(sampler.draw(logits(0.2, 0.5, 0.0, 0.3))) == [1, 3, 0]


def test_the_order_is_that_of_all_tokens_where_there_are_many() -> None:
    values = np.random.default_rng(3).normal(size=1000).astype(np.float32)
    ids = list(Sampler(Sampling(temperature=0)).draw(values))
    assert ids == np.argsort(-values)[:CANDIDATES].tolist()


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, (0.6, 0.3)), (0.5, (0.783, 0.196))])
def test_tokens_come_as_often_as_their_share_at_the_temperature(
    temperature: float, expected: tuple[float, float]
) -> None:
    seen = firsts(Sampling(temperature=temperature, seed=1), logits(0.6, 0.3, 0.1), 4000)
    assert seen[0] / 4000 == pytest.approx(expected[0], abs=0.03)
    assert seen[1] / 4000 == pytest.approx(expected[1], abs=0.03)


def test_the_second_is_what_drawing_again_without_the_first_would_give() -> None:
    sampler, seen = Sampler(Sampling(seed=1)), Counter[tuple[int, int]]()
    for _ in range(4000):
        first, second, _ = sampler.draw(logits(0.6, 0.3, 0.1))
        seen[first, second] += 1
    assert seen[0, 1] / 4000 == pytest.approx(0.6 * 0.75, abs=0.03)
    assert seen[2, 0] / 4000 == pytest.approx(0.1 * 2 / 3, abs=0.03)


def test_a_temperature_near_zero_is_greedy() -> None:
    assert set(firsts(Sampling(temperature=5e-324), logits(0.34, 0.33, 0.33), 50)) == {0}


@pytest.mark.parametrize(
    ("top_p", "nucleus"),
    [(1e-9, {0}), (0.4, {0}), (0.5, {0, 1}), (0.75, {0, 1, 2}), (1, {0, 1, 2, 3})],
)
def test_only_the_nucleus_is_drawn_from(top_p: float, nucleus: set[int]) -> None:
    values = logits(0.42, 0.3, 0.18, 0.1)
    assert set(firsts(Sampling(top_p=top_p, seed=1), values, 300)) == nucleus


def test_after_the_nucleus_come_the_next_likeliest_in_order() -> None:
    sampler = Sampler(Sampling(top_p=0.5, seed=1))
    for _ in range(50):
        ids = list(sampler.draw(logits(0.3, 0.1, 0.35, 0.05, 0.2)))
        assert set(ids[:2]) == {0, 2}
        assert ids[2:] == [4, 1, 3]


def test_what_cannot_come_never_comes() -> None:
    sampler = Sampler(Sampling(temperature=2, seed=1))
    assert all(1 not in sampler.draw(logits(0.5, 0.0, 0.5)) for _ in range(100))


@pytest.mark.parametrize("seed", [0, 7, -7, 2**63 - 1, 2**80 + 5])
def test_the_same_seed_draws_the_same_and_none_does_not(seed: int) -> None:
    values = np.zeros(1000, np.float32)

    def draws(seed: int | None) -> list[int]:
        sampler = Sampler(Sampling(seed=seed))
        return [next(sampler.draw(values)) for _ in range(5)]

    assert draws(seed) == draws(seed)
    assert draws(seed) != draws(seed + 1)
    assert seed == 0 or draws(seed) != draws(-seed)
    assert draws(None) != draws(None)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("temperature", [0, 1])
def test_logits_that_are_no_numbers_are_a_failure(wrong: float, temperature: float) -> None:
    sampler = Sampler(Sampling(temperature=temperature))
    with pytest.raises(PredictionFailedError):
        next(sampler.draw(np.array([0, wrong, 1], np.float32)))
