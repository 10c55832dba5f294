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

    Differences are shares of the spread of an output. ``ties`` are labels that differ where the
    model's own best class and the graph's are as good as equally probable.
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


@dataclass(frozen=True)
class Spread:
    """Where the numbers of an output lie: the middle one, and how far most are apart."""

    center: NDArray[np.float64]
    width: NDArray[np.float64]

    def shares(self, got: NDArray[Any], want: NDArray[Any]) -> NDArray[np.float64]:
        """How far numbers are apart, as a share of the width or of what lies farther out.

        What single precision cannot tell apart is equal where the model itself has no more.
        """
        exact = want.dtype == np.float64 and got.dtype == np.float64
        got, want = got.astype(np.float64), want.astype(np.float64)
        same = (got == want) | (np.isnan(got) & np.isnan(want))
        with np.errstate(invalid="ignore", divide="ignore"):
            away = np.abs(got - want) - (1e-12 if exact else 5e-7) * np.abs(want)
            shares = np.maximum(away, 0) / np.maximum(self.width, np.abs(want - self.center))
        return np.where(same | (away <= 0), 0.0, np.where(np.isnan(shares), np.inf, shares))


@dataclass(frozen=True)
class Comparison:
    """How each row fared: its largest share, and how many of its labels differ or tie."""

    shares: NDArray[np.float64]
    labels: NDArray[np.int64]
    ties: NDArray[np.int64]

    @property
    def failed(self) -> NDArray[np.bool_]:
        """The rows of which the graph does not say what the model says."""
        return (self.labels > 0) | (self.shares > TOLERANCE)

    @property
    def parity(self) -> Parity:
        """All rows together."""
        largest = float(self.shares.max()) if self.shares.size else 0.0
        return Parity(len(self.shares), largest, int(self.labels.sum()), int(self.ties.sum()))


def open_graph(content: bytes) -> ort.InferenceSession:
    """A session on one processor. Raises what onnxruntime raises."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # What it logs as it fails is raised too.
    options.log_severity_level = 4
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def spreads(said: Sequence[NDArray[Any]]) -> list[Spread]:
    """Of each output that a model has ``said`` of ordinary rows."""
    found = []
    for table in said:
        if table.dtype.kind != "f":
            table = np.zeros((1, table.shape[1]))
        numbers = np.where(np.isfinite(table), table, 0.0).astype(np.float64)
        low, center, high = np.quantile(numbers, (0.1, 0.5, 0.9), axis=0)
        width = high - low
        whole = numbers.max(axis=0) - numbers.min(axis=0)
        width = np.where(width > 0, width, whole)
        # An output that never changes is compared by its size.
        width = np.where(width > 0, width, np.maximum(np.abs(center), 1e-9))
        found.append(Spread(center, width))
    return found


def compare(
    found: Sequence[NDArray[Any]], wanted: Sequence[NDArray[Any]], known: Sequence[Spread],
    classes: Sequence[Sequence[Any]],
) -> Comparison:  # fmt: skip
    """Compare what the graph ``found`` with what the model said, output by output.

    Labels come first, then the probabilities of the ``classes`` of each. Raises ValueError for
    other shapes.
    """
    rows = len(wanted[0])
    shares, labels, ties = np.zeros(rows), np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    for got, want, spread in zip(found, wanted, known, strict=True):
        if got.shape != want.shape:
            raise ValueError(f"the graph gives {got.shape} where the model gives {want.shape}")
        if want.dtype.kind == "f":
            if want.size:
                shares = np.maximum(shares, spread.shares(got, want).max(axis=1))
            continue
        differ = _words(got) != _words(want)
        close = differ & _tied(found, wanted, classes)
        ties += close.sum(axis=1)
        labels += differ.sum(axis=1) - close.sum(axis=1)
    return Comparison(shares, labels, ties)


def _words(array: NDArray[Any]) -> NDArray[Any]:
    """Labels in a form in which those of both sides can be compared."""
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    return array.astype(str)


def _tied(
    found: Sequence[NDArray[Any]], wanted: Sequence[NDArray[Any]], classes: Sequence[Sequence[Any]]
) -> NDArray[np.bool_]:
    """Where both labels are the best of their side's probabilities, which are nearly equal.

    A model that does not take the best of its probabilities has no ties.
    """
    tied = np.zeros(wanted[0].shape, bool)
    tables = zip(found[1:], wanted[1:], classes, strict=True)
    for column, (got, want, known) in enumerate(tables):
        rows, words, table = np.arange(len(want)), _words(np.array(known)), want.astype(np.float64)
        own, graphs = table.argmax(axis=1), got.argmax(axis=1)
        close = table[rows, own] - table[rows, graphs] <= TOLERANCE
        close &= _words(wanted[0][:, column]) == words[own]
        tied[:, column] = close & (_words(found[0][:, column]) == words[graphs])
    return tied
