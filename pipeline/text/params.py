"""The parameters of the text generator."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.gate import Limits

NAME = "text"


@dataclass(frozen=True)
class Prepare:
    """``sources`` are folders of installed packages; ``vocabulary`` counts the tokens."""

    sources: tuple[str, ...]
    held_out_share: float
    vocabulary: int


@dataclass(frozen=True)
class Train:
    """Layers of ``kernels`` see their product of tokens, each as ``embedding`` numbers.

    Every layer says ``hidden`` numbers; the data is seen ``passes`` times. ``tables`` are the rows
    of those of pairs of tokens, triples and so on; they learn ``table_factor`` times as fast.
    """

    seed: int
    kernels: tuple[int, ...]
    embedding: int
    hidden: int
    tables: tuple[int, ...]
    table_factor: float
    passes: float
    batch: int
    learning_rate: float
    weight_decay: float


@dataclass(frozen=True)
class Params:
    """One part for each stage."""

    prepare: Prepare
    train: Train
    gate: Limits
