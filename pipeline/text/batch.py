"""Several texts as one array of tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Texts one after the other, each beginning with PAD, as n tokens.

    ``places`` are their distances from the beginning of their text, ``targets`` the tokens that
    follow, the last of a text being EOS.
    """

    tokens: Ints
    places: Ints
    targets: Ints
