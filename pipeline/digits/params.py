"""The parameters of the digits classifier."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.gate import Limits

NAME = "digits"


@dataclass(frozen=True)
class Prepare:
    """``held_out_share`` of every digit is held out, chosen by ``seed``."""

    seed: int
    held_out_share: float


@dataclass(frozen=True)
class Train:
    """``hidden`` are the sizes of the network's hidden layers."""

    seed: int
    hidden: tuple[int, ...]
    rounds: int


@dataclass(frozen=True)
class Params:
    """One part for each stage."""

    prepare: Prepare
    train: Train
    gate: Limits
