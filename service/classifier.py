"""A classifier in ONNX: loading, checking and running it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.errors import ModelInvalidError, NotReadyError, PredictionFailedError
from service.onnx import first_line, open_session
from service.package import GRAPH_FILE, ClassifierPart, Descriptor, read_file

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]
# Type and shape of what goes into a graph or comes out.
_Node = tuple[str, tuple[int | str | None, ...]]


class Classifier:
    """The classifier whose package is in ``folder``."""

    def __init__(self, folder: Path, descriptor: Descriptor, *, intra_op_threads: int) -> None:
        if descriptor.classifier is None:
            raise ModelInvalidError(f"{descriptor.name} is not a classifier")
        self._folder = folder
        self._part: ClassifierPart = descriptor.classifier
        self._threads = intra_op_threads
        self._session: ort.InferenceSession | None = None
        self._input = ""

    def load(self) -> None:
        """Open the graph and check it against the descriptor; blocks.

        Raises ModelInvalidError with what is wrong.
        """
        content = read_file(self._folder, GRAPH_FILE)
        session = open_session(content, intra_op_threads=self._threads)
        features, classes = self._part.features, self._part.classes
        labels, probabilities = ("tensor(int64)", (None,)), ("tensor(float)", (None, classes))
        _check("input", session.get_inputs(), [("tensor(float)", (None, features))])
        _check("output", session.get_outputs(), [labels, probabilities])
        self._input = session.get_inputs()[0].name
        self._session = session

    def warm(self, rows: int = 1) -> None:
        """Classify ``rows`` rows. Raises ModelInvalidError if the answer is not one."""
        sample = np.full((rows, self._part.features), self._part.minimum, np.float32)
        sample[-1] = self._part.maximum
        try:
            self.predict(sample)
        except PredictionFailedError as error:
            raise ModelInvalidError(f"{GRAPH_FILE} does not run: {error.message}") from None
        except Exception as error:
            raise ModelInvalidError(f"{GRAPH_FILE} does not run: {first_line(error)}") from None

    def predict(
        self, rows: Rows, options: ort.RunOptions | None = None
    ) -> tuple[Labels, Probabilities]:
        """Classify (n, features) numbers: (n,) labels and (n, classes) probabilities; blocks.

        Thread-safe. Raises NotReadyError before the model is loaded, PredictionFailedError if the
        model answers with something else.
        """
        if self._session is None:
            raise NotReadyError("the model is not loaded")
        labels, probabilities = self._session.run(None, {self._input: rows}, options)
        classes = self._part.classes
        if labels.shape != (len(rows),) or probabilities.shape != (len(rows), classes):
            raise PredictionFailedError("the model answers with another shape than it should")
        if not np.isfinite(probabilities).all() or labels.min() < 0 or labels.max() >= classes:
            raise PredictionFailedError("the model answers with numbers that are none")
        return labels, probabilities


def _check(side: str, nodes: list[ort.NodeArg], expected: list[_Node]) -> None:
    """Raise ModelInvalidError unless the nodes are those expected; sizes of None must be open."""
    found: list[_Node] = [(node.type, tuple(node.shape)) for node in nodes]
    if len(found) != len(expected) or not all(map(_fits, found, expected)):
        raise ModelInvalidError(f"{GRAPH_FILE} has {side} {_shown(found)}, not {_shown(expected)}")


def _fits(found: _Node, expected: _Node) -> bool:
    # A size that the graph leaves open is known only from its answers.
    return (found[0], len(found[1])) == (expected[0], len(expected[1])) and all(
        not isinstance(size, int) or size == wanted
        for size, wanted in zip(found[1], expected[1], strict=True)
    )


def _shown(nodes: list[_Node]) -> str:
    return ", ".join(f"{kind} [{', '.join(map(str, shape))}]" for kind, shape in nodes)[:200]
