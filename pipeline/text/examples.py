"""Texts as tokens: what the network sees and what it has to say next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.text.batch import Batch, Ints
from pipeline.text.tokenizer import EOS, PAD


def batch(texts: Sequence[Ints]) -> Batch:
    """Whole texts, given as their tokens, as one batch."""
    return Batch(
        np.concatenate([np.insert(text, 0, PAD) for text in texts]),
        np.concatenate([np.arange(len(text) + 1) for text in texts]),
        np.concatenate([np.append(text, EOS) for text in texts]),
    )


def batches(texts: Sequence[Ints], size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """All texts again and again, each time in another order, in batches of about ``size``."""
    chosen: list[Ints] = []
    count = 0
    while True:
        for index in rng.permutation(len(texts)):
            chosen.append(texts[index])
            count += len(texts[index]) + 1
            if count >= size:
                yield batch(chosen)
                chosen, count = [], 0


def windows(texts: Sequence[Ints], context: int) -> tuple[Ints, Ints]:
    """(n, context) tokens and the (n,) ones that follow: what the exported model takes and says.

    For every token of every text, with PAD on the left of what is shorter than ``context``.
    """
    padded = [np.concatenate([np.full(context, PAD), text, [EOS]]) for text in texts]
    seen = [np.lib.stride_tricks.sliding_window_view(one[:-1], context) for one in padded]
    return np.concatenate(seen), np.concatenate([one[context:] for one in padded])
