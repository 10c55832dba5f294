"""The requests that a load test sent, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A request is `ok`, it `failed` (no answer, or another status than 200), or its answer is `wrong`.
OUTCOMES = ("ok", "failed", "wrong")
COLUMNS = ("intended", "started", "ended", "name", "status", "outcome", "reason")


@dataclass(frozen=True)
class Samples:
    """Arrays of n requests: Unix seconds, and what became of each.

    ``intended`` is when an open loop wanted it sent; in a closed loop it is ``started``.
    """

    intended: NDArray[np.float64]
    started: NDArray[np.float64]
    ended: NDArray[np.float64]
    name: NDArray[np.str_]
    status: NDArray[np.int64]
    outcome: NDArray[np.str_]
    reason: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.ended)

    @property
    def latency(self) -> NDArray[np.float64]:
        """Seconds from when each was to be sent to the end of its answer."""
        return self.ended - self.intended

    def where(self, chosen: NDArray[Any]) -> Samples:
        """Those that an array chooses, of n truth values or of positions."""
        return Samples(*(getattr(self, column)[chosen] for column in COLUMNS))

    def between(self, begin: float, end: float) -> Samples:
        """Those that were to be sent within these Unix seconds."""
        return self.where((self.intended >= begin) & (self.intended < end))

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any]]) -> Samples:
        """From rows of ``COLUMNS``, in order of ``intended``."""
        columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
        kinds = (float, float, float, str, int, str, str)
        return cls(*(np.array(c, dtype=kind) for c, kind in zip(columns, kinds, strict=True)))

    @classmethod
    def join(cls, parts: Sequence[Samples]) -> Samples:
        """Those of all parts, in order of ``intended``."""
        if not parts:
            return cls.of([])
        whole = cls(*(np.concatenate([getattr(p, column) for p in parts]) for column in COLUMNS))
        return whole.where(np.argsort(whole.intended, kind="stable"))

    @classmethod
    def read(cls, files: Sequence[Path]) -> Samples:
        """From the generator's files: tab-separated rows of ``COLUMNS`` without a header.

        A last line that was not written to its end is left out.
        """
        rows = [line.split("\t") for file in files for line in file.read_text().split("\n")[:-1]]
        rows.sort(key=lambda row: float(row[0]))
        return cls.of(
            [[float(r[0]), float(r[1]), float(r[2]), r[3], int(r[4]), r[5], r[6]] for r in rows]
        )
