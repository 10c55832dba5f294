"""Whether a graph says of rows what the model says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Parity:
    """Figures of a comparison: rows, the largest difference, labels that differ.

    Differences are absolute up to 1 and relative above. ``ties`` are labels that differ where
    the two best classes are as good as equally probable.
    """

    rows: int
    largest: float
    labels: int
    ties: int

    @property
    def holds(self) -> bool:
        """Whether the graph may stand for the model."""
        return self.labels == 0 and self.largest <= TOLERANCE

    def __add__(self, other: Parity) -> Parity:
        return Parity(
            self.rows + other.rows, max(self.largest, other.largest), self.labels + other.labels,
            self.ties + other.ties,
        )  # fmt: skip


def open_graph(content: bytes) -> ort.InferenceSession:
    """A session on one processor. Raises what onnxruntime raises."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def compare(
    session: ort.InferenceSession, feed: dict[str, NDArray[Any]], wanted: Sequence[NDArray[Any]]
) -> Parity:
    """Compare what the graph makes of ``feed`` with what the model said, output by output.

    Raises ValueError for other shapes, and what onnxruntime raises.
    """
    found = [np.asarray(one) for one in session.run(None, feed)]
    labels, ties, largest = 0, 0, 0.0
    for got, want in zip(found, wanted, strict=True):
        if got.shape != want.shape:
            raise ValueError(f"the graph gives {got.shape} where the model gives {want.shape}")
        if want.dtype.kind == "f":
            largest = max(largest, difference(got, want))
            continue
        differ = _words(got) != _words(want)
        close = differ & _tied(wanted, want.shape)
        ties += int(close.sum())
        labels += int(differ.sum() - close.sum())
    return Parity(len(wanted[0]), largest, labels, ties)


def difference(got: NDArray[Any], want: NDArray[Any]) -> float:
    """The largest one, absolute or, of numbers beyond 1, relative; NaN equals NaN."""
    got, want = got.astype(np.float64), want.astype(np.float64)
    if not got.size:
        return 0.0
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    with np.errstate(invalid="ignore"):
        away = np.abs(got - want) / np.maximum(1.0, np.abs(want))
    away = np.where(same, 0.0, np.where(np.isnan(away), np.inf, away))
    return float(away.max())


def _words(array: NDArray[Any]) -> NDArray[Any]:
    """Labels in a form in which those of both sides can be compared."""
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    return array.astype(str)


def _tied(wanted: Sequence[NDArray[Any]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where the two best probabilities of a label are within the tolerance, ``shape``."""
    tied = np.zeros(shape, bool)
    for column, table in enumerate(wanted[1 : shape[1] + 1]):
        if table.shape[1] > 1:
            best = np.sort(table.astype(np.float64), axis=1)
            tied[:, column] = best[:, -1] - best[:, -2] <= TOLERANCE
    return tied
