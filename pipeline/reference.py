"""reference.json: how the training data is distributed, to tell later when what comes differs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import package

FILE = "reference.json"
MOST_BINS = 32
_FORMAT = 1


def edges(values: NDArray[Any]) -> list[float]:
    """The inner edges of at most MOST_BINS bins: ``(-inf, e0], (e0, e1], … (en, inf)``.

    Whole numbers in a small range have a bin each; everything else has bins of about equal count.
    """
    low, high = float(values.min()), float(values.max())
    if high - low < MOST_BINS and bool(np.all(values == np.round(values))):
        return [float(edge) for edge in np.arange(low, high) + 0.5]
    shares = np.linspace(0, 1, MOST_BINS + 1)[1:-1]
    return [float(edge) for edge in np.unique(np.quantile(values, shares, method="lower"))]


def feature(name: str, values: NDArray[Any], inner: Sequence[float]) -> dict[str, Any]:
    """One feature: its bins, and how many of ``values`` are in each."""
    bins = np.searchsorted(np.asarray(inner), values, side="left")
    counts = np.bincount(bins, minlength=len(inner) + 1)
    return {"name": name, "edges": list(inner), "counts": counts.tolist()}


def groups(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """A group of ``counts``' categories for each: the commonest in the first, the rarest together.

    At most MOST_BINS groups of about equal count, for more categories than there can be bins.
    """
    order = np.argsort(-counts, kind="stable")
    ranked = counts[order]
    before = np.cumsum(ranked) - ranked
    # What never occurs is not a group of its own: it goes with the rarest.
    shares = np.minimum(before * MOST_BINS // max(1, int(ranked.sum())), MOST_BINS - 1)
    found = np.empty(len(counts), np.int64)
    found[order] = np.unique(shares, return_inverse=True)[1]
    return found


def write(
    folder: Path,
    features: Sequence[dict[str, Any]],
    predictions: NDArray[np.int64],
    *,
    classes: int,
    groups: NDArray[np.int64] | None = None,
) -> None:
    """Write reference.json. ``predictions`` are what the exported model says of training data."""
    content: dict[str, Any] = {
        "format": _FORMAT,
        "features": list(features),
        "prediction": np.bincount(predictions, minlength=classes).tolist(),
    }
    if groups is not None:
        content["groups"] = groups.tolist()
    package.write_json(folder / FILE, content)
