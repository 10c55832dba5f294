"""Which runs of a model are so short that they need no thread of their own."""

from __future__ import annotations

import threading
from time import monotonic, sleep

import onnxruntime as ort

# The event loop may stand still for so long. A hand-over to a thread takes a tenth of it.
_QUICK_SECONDS = 0.0005
# Beyond it a run waited for something else than the processor.
LONG_SECONDS = 0.1
_WEIGHT = 0.2
_MOST_SECONDS = 1.0


class Estimate:
    """How long a run takes, from the last ones of about as many rows, or else of fewer.

    Of more rows than there were, each takes as long as in those: nothing is quick at first.
    """

    def __init__(self) -> None:
        # By the number of binary digits of how many rows there were.
        self._seconds: dict[int, float] = {}

    def learn(self, rows: int, cpu: float, wall: float) -> None:
        """A run of ``rows`` rows took ``cpu`` seconds of its thread's processor time.

        ``wall`` seconds passed meanwhile, most of which a busy service waits for the interpreter.
        """
        seconds, size = wall if wall > LONG_SECONDS else cpu, rows.bit_length()
        known = self._seconds.get(size, seconds)
        self._seconds[size] = known + _WEIGHT * (seconds - known)

    def is_quick(self, rows: int) -> bool:
        """Whether a run of so many rows will be."""
        size = rows.bit_length()
        for smaller in range(size, 0, -1):
            seconds = self._seconds.get(smaller)
            if seconds is not None:
                return seconds * (1 << (size - smaller)) <= _QUICK_SECONDS
        return False


class Watch:
    """Ends a run that was taken for quick and is not: the event loop stands still meanwhile."""

    def __init__(self) -> None:
        self._now: tuple[float, ort.RunOptions] | None = None
        self._thread: threading.Thread | None = None

    def begin(self, options: ort.RunOptions) -> None:
        """A run with these options begins."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
            self._thread.start()
        self._now = monotonic(), options

    def end(self) -> None:
        """It ended."""
        self._now = None

    def _look(self) -> None:
        while True:
            sleep(_MOST_SECONDS / 4)
            now = self._now
            if now and monotonic() - now[0] > _MOST_SECONDS:
                now[1].terminate = True
