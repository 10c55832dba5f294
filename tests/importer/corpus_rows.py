"""Data for the corpus: what its models are trained on, and rows that they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

TRAINING, ROWS = 360, 1000
CITIES = ["Bonn", "Köln", "Ulm am Main", "Oslo"]
WORDS = ["red", "Green", "blue", "äpfel", "über", "film", "plan", "Größe", "stone", "x_1"]
OTHER = ["a", "I", "é", "unknown", "ΛΟΓΟΣ", "Привет", "日本語", "İstanbul", "3", "RED", "greens"]


def numbers(rows: int, seed: int, *, missing: bool = False) -> pd.DataFrame:
    """Four columns as people write numbers, with a decimal."""
    random = np.random.default_rng(seed)
    names = ["a", "the second", "c.3", "größe"]
    table = pd.DataFrame(np.round(random.normal(0, 3, (rows, 4)), 1), columns=names)
    return table.mask(random.random(table.shape) < 0.1) if missing else table


def people(rows: int, seed: int) -> pd.DataFrame:
    """A table of mixed types; Oslo is rare."""
    random = np.random.default_rng(seed)
    return pd.DataFrame({
        "age": np.round(random.uniform(18, 90, rows), 1),
        "children": random.integers(0, 6, rows),
        "city": random.choice(CITIES, rows, p=[0.4, 0.3, 0.27, 0.03]),
        "sex": random.choice(["f", "m"], rows),
    })  # fmt: skip


def texts(rows: int, seed: int) -> pd.DataFrame:
    """A column of texts."""
    random = np.random.default_rng(seed)
    return pd.DataFrame({"text": [" ".join(random.choice(WORDS, 5)) for _ in range(rows)]})


def boundary(training: pd.DataFrame, seed: int = 3) -> pd.DataFrame:
    """Rows whose numbers are training values, halfway between two of them, or just beside those.

    Texts are of other words in other order; categories may be of other cases.
    """
    random = np.random.default_rng(seed)
    return pd.DataFrame({
        name: _beside(random, column) if column.dtype.kind in "fiu"
        else [_text(random) for _ in range(ROWS)] if name == "text"
        else random.choice([*column.unique(), *column.unique(), str(column.iloc[0]).upper()], ROWS)
        for name, column in training.items()
    })  # fmt: skip


def _beside(random: np.random.Generator, column: pd.Series) -> Any:
    known = np.unique(column.dropna().to_numpy(np.float64))
    if column.dtype.kind in "iu":
        return random.integers(int(known[0]) - 1, int(known[-1]) + 2, ROWS)
    middle = (known[1:] + known[:-1]) / 2
    chosen = random.choice(np.concatenate([known, middle]), ROWS)
    single = chosen.astype(np.float32)
    ways = [
        chosen, np.nextafter(chosen, np.inf), np.nextafter(chosen, -np.inf),
        np.nextafter(single, np.float32(np.inf)).astype(np.float64), np.round(chosen, 1),
        np.nextafter(single, np.float32(-np.inf)).astype(np.float64),
    ]  # fmt: skip
    return np.choose(random.integers(0, len(ways), ROWS), ways)


def _text(random: np.random.Generator) -> str:
    parts = random.choice([*WORDS, *WORDS, *OTHER], int(random.integers(0, 9)))
    return "".join(f"{part}{random.choice([' ', ' ', ' ', '-', ', ', '. '])}" for part in parts)


def values(table: pd.DataFrame, names: Sequence[str]) -> list[Any]:
    """Columns as the service has them: doubles, or strings."""
    return [
        table[name].to_numpy(np.float64) if table[name].dtype.kind in "fiub"
        else table[name].to_numpy(object)
        for name in names
    ]  # fmt: skip
