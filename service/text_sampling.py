"""Drawing the next token from a model's logits."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.errors import PredictionFailedError

# How many tokens are tried for one place. What is right is among the first few.
CANDIDATES = 64
# Below this a temperature is as good as none, and the division would overflow.
_COLDEST = 1e-6
# More than logits differ by at the coldest temperature.
_LAST = 1e12


@dataclass(frozen=True)
class Sampling:
    """How to draw: temperature 0 takes the likeliest; the same seed draws the same."""

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None


class Sampler:
    """Draws tokens for one text."""

    def __init__(self, sampling: Sampling) -> None:
        self._temperature = sampling.temperature
        self._top_p = sampling.top_p
        seed = secrets.randbits(64) if sampling.seed is None else sampling.seed % 2**64
        self._random = np.random.Generator(np.random.PCG64(seed))

    def draw(self, logits: NDArray[np.float32]) -> Iterator[int]:
        """At most CANDIDATES ids from (vocabulary,) logits, in the order in which to try them.

        Each is what drawing again without those before it would give. Tokens with a logit of minus
        infinity never come. Raises PredictionFailedError if the logits are not numbers.
        """
        peak = logits.max()
        if not np.isfinite(peak):
            raise PredictionFailedError("the model answers with numbers that are none")
        scores = self._perturb(logits - peak) if self._temperature > 0 else logits
        # The first is nearly always taken: until it is refused, nothing needs to be in order.
        first = int(scores.argmax())
        yield first
        count = min(CANDIDATES, len(scores))
        best = np.argpartition(scores, -count)[-count:]
        best = best[(scores[best] > -np.inf) & (best != first)]
        yield from best[np.argsort(-scores[best])].tolist()

    def _perturb(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores whose descending order is a draw without putting back (the Gumbel trick)."""
        scaled = logits.astype(np.float64) / max(self._temperature, _COLDEST)
        scores = scaled - np.log(self._random.standard_exponential(len(scaled)))
        if self._top_p < 1:
            outside = self._outside_nucleus(scaled)
            scores[outside] = scaled[outside] - _LAST
        return scores

    def _outside_nucleus(self, scaled: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which tokens are not among the likeliest that have ``top_p`` together."""
        shares = np.exp(scaled).astype(np.float32)
        ascending = np.sort(shares)
        sums = np.cumsum(ascending, dtype=np.float64)
        rest = (1 - self._top_p) * sums[-1]
        # What is left out has `rest` at most: the likeliest is never left out.
        least = ascending[np.searchsorted(sums[:-1], rest, side="right")]
        outside: NDArray[np.bool_] = shares < least
        return outside
