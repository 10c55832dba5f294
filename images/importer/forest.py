"""Boosted trees in the form that ONNX has for them, whichever library grew them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Link = Literal["identity", "sigmoid", "softmax", "exp", "square", "softplus", "step", "argmax"]
_NODES = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids",
          "missing_value_tracks_true")  # fmt: skip


@dataclass(frozen=True)
class Leaf:
    """The end of a path."""

    weight: float


@dataclass(frozen=True)
class Split:
    """A row goes to ``yes`` where its feature is in ``mode`` to ``threshold``, else to ``no``."""

    feature: int
    mode: Literal["BRANCH_LT", "BRANCH_LEQ", "BRANCH_EQ"]
    threshold: float
    yes: Any
    no: Any
    missing_yes: bool


@dataclass
class Forest:
    """Trees whose leaves add up, with ``base``, to a margin for each target.

    ``link`` makes of margins what the library's ``predict`` gives, or of a classifier its
    probabilities; ``scale`` is what margins are multiplied by before. ``precision`` is that of
    the comparisons, which decides on which side of a threshold a row falls.
    """

    precision: type[np.floating[Any]]
    base: list[float]
    link: Link = "identity"
    scale: float = 1.0
    nodes: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in _NODES})
    leaves: list[tuple[int, int, int, float]] = field(default_factory=list)
    trees: int = 0

    @property
    def targets(self) -> int:
        """How many margins there are."""
        return len(self.base)

    def add(self, target: int, root: Any, look: Callable[[Any], Leaf | Split]) -> None:
        """Add a tree; ``look`` tells what a node is, each node being told from others by id."""
        tree, self.trees = self.trees, self.trees + 1
        waiting, numbers = [root], {id(root): 0}

        def number(node: Any) -> int:
            if id(node) not in numbers:
                numbers[id(node)] = len(waiting)
                waiting.append(node)
            return numbers[id(node)]

        place = 0
        while place < len(waiting):
            seen = look(waiting[place])
            if isinstance(seen, Leaf):
                self.leaves.append((tree, place, target, seen.weight))
                row = (tree, place, 0, "LEAF", 0.0, 0, 0, 0)
            else:
                row = (
                    tree, place, seen.feature, seen.mode, float(seen.threshold),
                    number(seen.yes), number(seen.no), int(seen.missing_yes),
                )  # fmt: skip
            for name, value in zip(_NODES, row, strict=True):
                self.nodes[name].append(value)
            place += 1

    def scaled(self, factor: float) -> None:
        """Multiply the weight of every leaf, as for an average."""
        self.leaves = [(*where, weight * factor) for *where, weight in self.leaves]  # type: ignore[misc]
