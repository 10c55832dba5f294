"""What the requests of a load are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mix:
    """Shares of the endpoints, of batch sizes, and how users behave.

    Most ask about one row, some about a screenful, few have a pile of work.
    """

    predict: float = 0.9
    chat: float = 0.1
    # Rows of a prediction, and the weight of each.
    batches: tuple[tuple[int, float], ...] = ((1, 0.7), (8, 0.2), (32, 0.1))
    # Closed loop: seconds between an answer and the user's next request.
    think: float = 0.0
    # A connection stays with its pod for as long as it lasts: people come and go, and so pods that
    # are new get their share. It lasts from half of this to half as much again.
    connection_seconds: float = 10.0


# Larger than what a page asks for: so the pods are busy before the generator is.
BUSY = Mix(predict=0.7, chat=0.3, batches=((8, 0.5), (32, 0.3), (64, 0.2)))


class Draws:
    """What comes next, at random but the same every time for the same ``seed``."""

    def __init__(self, mix: Mix, seed: int, *, rows: int, prompts: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._mix = mix
        self._sizes = [size for size, _ in mix.batches]
        self._weights = [weight for _, weight in mix.batches]
        self._rows, self._prompts = _Deck(rows, self._random), _Deck(prompts, self._random)

    def is_chat(self) -> bool:
        """Whether the next request is a chat."""
        share = self._mix.chat / (self._mix.chat + self._mix.predict)
        return self._random.random() < share

    def rows(self) -> list[int]:
        """Numbers of the rows to ask about."""
        (size,) = self._random.choices(self._sizes, self._weights)
        return [self._rows.draw() for _ in range(size)]

    def prompt(self) -> int:
        """The number of the prompt to go on from."""
        return self._prompts.draw()

    def connection_seconds(self) -> float:
        """How long a connection that is made now lasts."""
        return self._mix.connection_seconds * self._random.uniform(0.5, 1.5)


class _Deck:
    """Deals all numbers before any comes again: few rows again and again would be drift."""

    def __init__(self, size: int, chance: random.Random) -> None:
        self._size, self._random = size, chance
        self._left: list[int] = []

    def draw(self) -> int:
        if not self._left:
            self._left = list(range(self._size))
            self._random.shuffle(self._left)
        return self._left.pop()


def problems(mix: Mix) -> Sequence[str]:
    """What is wrong with the numbers of a mix."""
    found = []
    if min(mix.predict, mix.chat) < 0 or mix.predict + mix.chat <= 0:
        found.append("the shares of predict and chat are not above 0")
    if not mix.batches or any(size < 1 or weight <= 0 for size, weight in mix.batches):
        found.append("a batch has less than one row, or no weight")
    if mix.think < 0 or mix.connection_seconds <= 0:
        found.append("a time is not above 0")
    return found
