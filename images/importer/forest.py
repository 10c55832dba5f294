"""Decision trees in the form that ONNX has for them, whichever library grew them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Link = Literal[
    "identity", "sigmoid", "softmax", "exp", "square", "softplus", "step", "argmax", "sort",
]  # fmt: skip
_NODES = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids",
          "missing_value_tracks_true")  # fmt: skip


@dataclass(frozen=True)
class Leaf:
    """The end of a path, with what it adds to the margin of each of its tree's targets."""

    weights: Sequence[float]


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
    thresholds and sums, ``rounds`` whether features are rounded to single precision before they
    are compared in double. Both decide on which side of a threshold a row falls. ``truncated`` are
    features that are compared without their fraction, as integer categories. The margins of
    ``votes`` are probabilities, whose ties must stay ties.
    """

    precision: type[np.floating[Any]]
    base: list[float]
    link: Link = "identity"
    scale: float = 1.0
    rounds: bool = False
    votes: bool = False
    truncated: list[int] = field(default_factory=list)
    nodes: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in _NODES})
    leaves: list[tuple[int, int, int, float]] = field(default_factory=list)
    trees: int = 0

    @property
    def targets(self) -> int:
        """How many margins there are."""
        return len(self.base)

    def add(self, target: int, root: Any, look: Callable[[Any], Leaf | Split]) -> None:
        """Add a tree, whose first target is ``target``.

        ``look`` tells what a node is, each node being told from others by id.
        """
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
                self.leaves += [
                    (tree, place, target + k, weight) for k, weight in enumerate(seen.weights)
                ]
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
        self.leaves = [
            (tree, node, target, weight * factor) for tree, node, target, weight in self.leaves
        ]

    def center(self) -> None:
        """Move the mean of each tree's leaves to ``base``.

        The runtime sums in single precision: what is left is as small as the spread of the sums.
        """
        weights: dict[tuple[int, int], list[float]] = {}
        for tree, _, target, weight in self.leaves:
            weights.setdefault((tree, target), []).append(weight)
        means = {key: float(np.mean(values)) for key, values in weights.items()}
        for (_, target), mean in means.items():
            self.base[target] += mean
        self.leaves = [
            (tree, node, target, weight - means[tree, target])
            for tree, node, target, weight in self.leaves
        ]

    def thresholds(self) -> Iterable[tuple[int, float]]:
        """Each feature and number that a node compares."""
        for feature, mode, value in zip(
            self.nodes["featureids"], self.nodes["modes"], self.nodes["values"], strict=True
        ):
            if mode != "LEAF":
                yield feature, value
