"""A model for tables in ONNX: loading, checking and running it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from service.errors import (
    InvalidRequestError,
    ModelInvalidError,
    NotReadyError,
    PredictionFailedError,
)
from service.onnx import first_line, open_session
from service.package import GRAPH_FILE, Descriptor, read_file
from service.package_tabular import InputPart, OutputPart, TabularPart

# (n, columns): float64, or objects where a column has strings.
Table = NDArray[Any]

_NUMBERS: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64,
    "tensor(int32)": np.int32, "tensor(bool)": np.bool_,
}  # fmt: skip
FLOATS = ("tensor(float)", "tensor(double)")
_STRINGS = "tensor(string)"
# What the runtime says where an encoder does not know a value, and its owner has that fail.
UNKNOWN_CATEGORY = "Unknown Category"
OUTPUTS = {
    "boolean": "tensor(bool)", "long": "tensor(int64)", "float": "tensor(float)",
    "double": "tensor(double)", "string": _STRINGS,
}  # fmt: skip


class Tabular:
    """The model for tables whose package is in ``folder``."""

    def __init__(self, folder: Path, descriptor: Descriptor, *, intra_op_threads: int) -> None:
        if descriptor.tabular is None:
            raise ModelInvalidError(f"{descriptor.name} is not a model for tables")
        self._folder = folder
        self._part: TabularPart = descriptor.tabular
        self._has_strings = any(column.type == "string" for column in self._part.inputs)
        self._threads = intra_op_threads
        self._session: ort.InferenceSession | None = None
        # Name and type of each input of the graph, and which columns it takes.
        self._feeds: list[tuple[str, type[Any], slice]] = []

    def load(self) -> None:
        """Open the graph and check it against the descriptor; blocks.

        Raises ModelInvalidError with what is wrong.
        """
        content = read_file(self._folder, GRAPH_FILE)
        session = open_session(content, intra_op_threads=self._threads)
        self._feeds = self._matched(session.get_inputs())
        _check_outputs(session.get_outputs(), self._part.outputs)
        self._session = session

    def warm(self, rows: int = 1) -> None:
        """Run ``rows`` made-up rows. Raises ModelInvalidError if there is no answer to them.

        What the numbers are is not looked at: of such rows a good model may know nothing. One that
        takes strings may refuse those that it does not know, and one of categories that are numbers
        does so in the runtime's words for that.
        """
        sample = np.zeros((rows, len(self._part.inputs)), object if self._has_strings else float)
        for place, column in enumerate(self._part.inputs):
            if column.type == "string":
                sample[:, place] = ""
        try:
            self._run(sample, None)
        except PredictionFailedError as error:
            raise ModelInvalidError(f"{GRAPH_FILE} does not run: {error.message}") from None
        except MemoryError:
            raise
        except Exception as error:
            # Of memory the runtime tells in its own words.
            may_refuse = self._has_strings or UNKNOWN_CATEGORY in str(error)
            if not may_refuse or "alloc" in str(error):
                raise ModelInvalidError(f"{GRAPH_FILE} does not run: {first_line(error)}") from None

    def predict(
        self, rows: Table, options: ort.RunOptions | None = None
    ) -> tuple[NDArray[Any], ...]:
        """What the model makes of (n, columns) values, missing ones NaN; blocks.

        An array for each output: (n,) for one of size 1 without classes, else (n, size).
        Thread-safe. Raises NotReadyError before the model is loaded, InvalidRequestError for a
        category that it does not know, PredictionFailedError if it answers with something else.
        """
        try:
            outputs = self._run(rows, options)
        except Fail as error:
            if UNKNOWN_CATEGORY in str(error):
                raise InvalidRequestError("a category is not one that the model knows") from None
            raise
        for output in outputs:
            if output.dtype.kind == "f" and not np.isfinite(output).all():
                raise PredictionFailedError("the model answers with numbers that are none")
        return outputs

    def _run(self, rows: Table, options: ort.RunOptions | None) -> tuple[NDArray[Any], ...]:
        if self._session is None:
            raise NotReadyError("the model is not loaded")
        # Too large for a graph that counts in single precision is infinite there, as for its owner.
        with np.errstate(over="ignore"):
            feed = {
                name: np.ascontiguousarray(rows[:, columns]).astype(kind, copy=False)
                for name, kind, columns in self._feeds
            }
        found = self._session.run(None, feed, options)
        return tuple(
            _shaped(array, part, len(rows))
            for array, part in zip(found, self._part.outputs, strict=True)
        )

    def _matched(self, nodes: list[ort.NodeArg]) -> list[tuple[str, type[Any], slice]]:
        columns = self._part.inputs
        if self._part.graph_input == "matrix":
            if len(nodes) != 1 or nodes[0].type not in _NUMBERS:
                raise _unfit("input", _shown(nodes), "one matrix of numbers")
            if any(not _takes(nodes[0].type, column) for column in columns):
                raise _unfit("input", _shown(nodes), "of floats or doubles, as its columns are")
            if not _fits(nodes[0].shape, len(columns)):
                raise _unfit("input", _shown(nodes), f"[n, {len(columns)}]")
            return [(nodes[0].name, _NUMBERS[nodes[0].type], slice(None))]
        named = {node.name: node for node in nodes}
        wanted = [column.in_graph for column in columns]
        if named.keys() != set(wanted):
            found = ", ".join(sorted(named))[:100]
            raise _unfit("inputs", found, f"the columns {', '.join(sorted(wanted))[:100]}")
        feeds = []
        for place, column in enumerate(columns):
            node = named[column.in_graph]
            kind = object if node.type == _STRINGS else _NUMBERS.get(node.type)
            if kind is None or not _takes(node.type, column):
                raise _unfit(f"{column.name} as", node.type, column.type)
            if not _fits(node.shape, 1):
                raise _unfit(f"{column.name} as", _shown([node]), "[n, 1]")
            feeds.append((node.name, kind, slice(place, place + 1)))
        return feeds


def _check_outputs(nodes: list[ort.NodeArg], outputs: tuple[OutputPart, ...]) -> None:
    kinds = [OUTPUTS[output.type] for output in outputs]
    if [node.type for node in nodes] != kinds:
        raise _unfit("output", _shown(nodes), ", ".join(kinds)[:200])
    for node, output in zip(nodes, outputs, strict=True):
        is_line = output.size == 1 and len(node.shape) == 1 and not isinstance(node.shape[0], int)
        if not is_line and not _fits(node.shape, output.size):
            raise _unfit(f"output {output.name} as", _shown([node]), f"[n, {output.size}]")


def _shaped(array: Any, part: OutputPart, rows: int) -> NDArray[Any]:
    found: NDArray[Any] = np.asarray(array)
    if found.shape != (rows, part.size) and (found.shape != (rows,) or part.size > 1):
        raise PredictionFailedError("the model answers with another shape than it should")
    is_line = part.size == 1 and part.classes is None
    return found.reshape(rows) if is_line else found.reshape(rows, part.size)


def _takes(kind: str, column: InputPart) -> bool:
    """Whether an input of this kind can be given a column without loss of what it says."""
    if column.type == "string" or kind == _STRINGS:
        return column.type == "string" and kind == _STRINGS
    return column.type not in ("float", "double") or kind in FLOATS


def _fits(shape: list[int | str | None], width: int) -> bool:
    # A size that the graph leaves open is known only from its answers; rows must be open.
    return len(shape) == 2 and not isinstance(shape[0], int) and shape[1] in (width, None)


def _unfit(side: str, found: str, expected: str) -> ModelInvalidError:
    return ModelInvalidError(f"{GRAPH_FILE} has {side} {found}, not {expected}")


def _shown(nodes: list[ort.NodeArg]) -> str:
    texts = (f"{node.type} [{', '.join(map(str, node.shape))}]" for node in nodes)
    return ", ".join(texts)[:200]
