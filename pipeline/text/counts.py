"""What counting pairs of tokens says, before a network learns what it does not say."""

from __future__ import annotations

import numpy as np

from pipeline.text.batch import Batch, Floats

_DISCOUNT = 0.75


def log_probabilities(batch: Batch, vocabulary: int) -> Floats:
    """(vocabulary, vocabulary): how likely a token is after another, as Kneser and Ney smooth it.

    What was counted gives a little to what was not, most of it to tokens that follow many others.
    """
    pairs = np.bincount(batch.tokens * vocabulary + batch.targets, minlength=vocabulary**2)
    pairs = pairs.reshape(vocabulary, vocabulary)
    seen = pairs > 0
    # Half of one more: no token is impossible.
    following = seen.sum(axis=0) + 0.5
    following /= following.sum()
    count = np.maximum(pairs.sum(axis=1, keepdims=True), 1)
    # All of it, where nothing was counted.
    given = np.where(
        seen.any(axis=1, keepdims=True), _DISCOUNT * seen.sum(axis=1, keepdims=True), 1
    )
    smoothed = (np.maximum(pairs - _DISCOUNT, 0) + given * following) / count
    # Of float32, whose logarithm has the same bits on every processor.
    logarithms: Floats = np.log(smoothed.astype(np.float32))
    return logarithms
