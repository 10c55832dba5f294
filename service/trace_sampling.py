"""Which requests are traced: a share of all, and those whose client asks for it, within bounds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

# The lower half of a trace id is what samplers go by, so that all services choose the same ones.
_BITS = 64
_MASK = (1 << _BITS) - 1


class Sampling:
    """A share of the requests that come without a trace; of others, those that are in one.

    Each of the two has its own bound: a client that asks for too many takes none from the rest.
    """

    def __init__(self, ratio: float, per_second: float, refused: Callable[[], None]) -> None:
        self._below = round(ratio * (1 << _BITS))
        self._own, self._asked = _Bucket(per_second), _Bucket(per_second)
        self._refused = refused

    def draw(self) -> int:
        """The id of a trace that begins now; 0 if there is none to be."""
        trace_id = random.getrandbits(128)
        if trace_id & _MASK >= self._below:
            return 0
        # Zero is no id.
        return (trace_id or 1) if self._take(self._own) else 0

    def joins(self) -> bool:
        """Whether a request is traced whose client traces it."""
        return self._take(self._asked)

    def _take(self, bucket: _Bucket) -> bool:
        taken = bucket.take()
        if not taken:
            self._refused()
        return taken


class _Bucket:
    """No more than ``per_second``, with bursts of as many."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._left = self._most = max(1.0, per_second)
        self._looked = time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._looked) * self._per_second)
        self._looked = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
