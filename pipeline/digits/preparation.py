"""The images and which of them are held out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import package
from pipeline.digits.params import Prepare

_FILES = {"train": "train.csv", "held_out": "held_out.csv"}


@dataclass(frozen=True)
class Images:
    """n images: their numbers in the data set, (n, 64) pixels in 0..16, (n,) labels."""

    numbers: NDArray[np.int64]
    pixels: NDArray[np.float32]
    labels: NDArray[np.int64]


def prepare(out: Path, params: Prepare) -> None:
    """Split the 1797 images: the same are held out every time, in ascending order."""
    # Here: scikit-learn takes a second to load, and the evaluation does not need it.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    numbers = np.arange(len(labels))
    train, held_out = train_test_split(
        numbers, test_size=params.held_out_share, stratify=labels, random_state=params.seed
    )
    columns = ("number", "label", *(f"pixel_{index}" for index in range(pixels.shape[1])))
    table = np.column_stack([numbers, labels, pixels]).astype(int)
    for part, rows in (("train", train), ("held_out", held_out)):
        package.write_csv(out / _FILES[part], columns, table[np.sort(rows)].tolist())


def read(data: Path, part: str) -> Images:
    """One part of the prepared data: ``train`` or ``held_out``."""
    table = np.loadtxt(data / _FILES[part], delimiter=",", skiprows=1, dtype=np.int64)
    return Images(table[:, 0], table[:, 2:].astype(np.float32), table[:, 1])
