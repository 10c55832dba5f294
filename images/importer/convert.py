"""From an estimator to an ONNX graph whose outputs are those of the package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import (
    BooleanTensorType,
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn.base import is_classifier

from importer.answers import Output
from importer.columns import FLOATS, Column

# What onnxruntime and skl2onnx both know well.
OPSET = {"": 18, "ai.onnx.ml": 3}
Precision = Literal["double", "float"]
_NUMBERS = {"double": (DoubleTensorType, np.float64), "float": (FloatTensorType, np.float32)}
_TENSORS = {
    "boolean": TensorProto.BOOL, "long": TensorProto.INT64, "float": TensorProto.FLOAT,
    "double": TensorProto.DOUBLE, "string": TensorProto.STRING,
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """How a graph takes its columns; ``whole``: whether integers are floats too."""

    graph_input: Literal["matrix", "columns"]
    precision: Precision
    floats: bool = True

    def feed(
        self, values: Sequence[Any], columns: Sequence[Column], names: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """What the service gives the graph for columns of values; ``names`` are its inputs'."""
        number = _NUMBERS[self.precision][1]
        if self.graph_input == "matrix":
            return {names[0]: np.column_stack([np.asarray(one, number) for one in values])}
        return {
            name: self._column(one, c, number)[:, None]
            for name, one, c in zip(names, values, columns, strict=True)
        }

    def types(self, columns: Sequence[Column]) -> list[tuple[str, Any]]:
        """The graph's inputs in the words of skl2onnx."""
        number = _NUMBERS[self.precision][0]
        if self.graph_input == "matrix":
            return [("columns", number([None, len(columns)]))]
        return [(c.name, self._type(c, number)([None, 1])) for c in columns]

    def _type(self, column: Column, number: Any) -> Any:
        if column.type == "string":
            return StringTensorType
        if column.type in FLOATS or self.floats:
            return number
        return BooleanTensorType if column.type == "boolean" else Int64TensorType

    def _column(self, values: Any, column: Column, number: Any) -> NDArray[Any]:
        if column.type == "string":
            return np.array([str(one) for one in values], object)
        kind = {BooleanTensorType: np.bool_, Int64TensorType: np.int64}.get(
            self._type(column, None), number
        )
        return np.asarray(values).astype(kind)


def layouts(columns: Sequence[Column], tensor: str) -> Iterator[Layout]:
    """Those worth a try, the most exact ones first."""
    numbers = all(column.type != "string" for column in columns)
    both: tuple[Precision, Precision] = ("double", "float")
    if numbers:
        yield from (Layout("matrix", precision) for precision in both)
    if tensor:
        return
    for precision in both:
        yield Layout("columns", precision, floats=False)
        yield Layout("columns", precision)


def convert(
    model: Any, layout: Layout, columns: Sequence[Column], outputs: Sequence[Output]
) -> onnx.ModelProto:
    """The graph, whose inputs are in the order of ``columns``, under names that skl2onnx chose.

    Raises whatever the converters raise.
    """
    options = {id(model): {"zipmap": False}} if is_classifier(model) else None
    graph: onnx.ModelProto = convert_sklearn(
        model, initial_types=layout.types(columns), target_opset=OPSET, options=options
    )
    _finish(graph.graph, outputs)
    if layout.precision == "double":
        _round(graph.graph, layout, columns)
    onnx.checker.check_model(graph)
    return graph


def _finish(graph: onnx.GraphProto, outputs: Sequence[Output]) -> None:
    """Give the graph the outputs of the package: their names, types, shapes and order."""
    made = list(graph.output)
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    taken |= {one.name for one in (*graph.input, *graph.initializer)}
    del graph.output[:]
    for place, output in enumerate(outputs):
        source = made[min(output.source, 1)].name
        if output.source and len(outputs) > 2:
            source = _probabilities(graph, made[1], output.source - 1, output.size)
        name = output.name
        while name in taken:
            name += "_"
        # An own name for what skl2onnx called as the package does.
        taken.add(name)
        shape = _constant(graph, f"kindling_shape_{place}", [-1, output.size])
        kind = _TENSORS[output.type]
        found = f"kindling_cast_{place}"
        _node(graph, "Cast", [source], found, to=kind)
        if output.classes is not None:
            # Rounding has put some a little below 0 or above 1.
            bounds = [_constant(graph, f"{found}_{k}", k, np.float32) for k in (0, 1)]
            _node(graph, "Clip", [found, *bounds], f"{found}_clip")
            found = f"{found}_clip"
        _node(graph, "Reshape", [found, shape], name)
        graph.output.append(helper.make_tensor_value_info(name, kind, [None, output.size]))


def _round(graph: onnx.GraphProto, layout: Layout, columns: Sequence[Column]) -> None:
    """Round the columns whose owner had them in single precision, before anything else."""
    single = [column.type == "float" for column in columns]
    whole = layout.graph_input == "matrix"
    for place, given in enumerate(graph.input):
        if not (any(single) if whole else single[place]):
            continue
        names = [f"kindling_{step}_{place}" for step in ("single", "rounded", "given")]
        steps = [
            helper.make_node("Cast", [given.name], [names[0]], to=TensorProto.FLOAT),
            helper.make_node("Cast", [names[0]], [names[1]], to=TensorProto.DOUBLE),
        ]
        found = names[1]
        if whole and not all(single):
            mask = _constant(graph, f"kindling_mask_{place}", [single], np.bool_)
            steps.append(helper.make_node("Where", [mask, found, given.name], [names[2]]))
            found = names[2]
        for node in graph.node:
            for k, name in enumerate(node.input):
                if name == given.name:
                    node.input[k] = found
        for step in reversed(steps):
            graph.node.insert(0, step)


def _probabilities(
    graph: onnx.GraphProto, made: onnx.ValueInfoProto, target: int, size: int
) -> str:
    """The tensor of one target's probabilities, without what fills it up to the widest's."""
    name = f"kindling_target_{target}"
    index = _constant(graph, f"kindling_index_{target}", target)
    if made.type.HasField("sequence_type"):
        _node(graph, "SequenceAt", [made.name, index], name)
    else:
        _node(graph, "Gather", [made.name, index], name, axis=0)
    bounds = [_constant(graph, f"{name}_{k}", [one]) for k, one in enumerate((0, size, 1))]
    _node(graph, "Slice", [name, *bounds], f"{name}_own")
    return f"{name}_own"


def _constant(graph: onnx.GraphProto, name: str, value: Any, kind: Any = np.int64) -> str:
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, kind), name))
    return name


def _node(graph: onnx.GraphProto, kind: str, inputs: list[str], out: str, **more: Any) -> None:
    graph.node.append(helper.make_node(kind, inputs, [out], name=out, **more))
