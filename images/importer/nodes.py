"""Nodes of an ONNX graph, and those of decision trees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper
from onnx.helper import np_dtype_to_tensor_dtype
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)

from importer.forest import Forest

_TENSORS = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE}


class Nodes:
    """Adds nodes to a graph that skl2onnx makes."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope, self._container = scope, container

    def add(self, kind: str, *inputs: str, out: str = "", domain: str = "", **more: Any) -> str:
        """Add a node; returns the name of its output."""
        out = out or self._scope.get_unique_variable_name(kind.lower())
        name = self._scope.get_unique_operator_name(kind)
        self._container.add_node(kind, list(inputs), [out], op_domain=domain, name=name, **more)
        return out

    def smallest(self, values: str, count: str) -> tuple[str, str]:
        """The ``count`` smallest of each row in rising order, and where they were."""
        outs = [self._scope.get_unique_variable_name(name) for name in ("sorted", "places")]
        name = self._scope.get_unique_operator_name("TopK")
        self._container.add_node(
            "TopK", [values, count], outs, name=name, axis=1, largest=0, sorted=1
        )
        return outs[0], outs[1]

    def constant(self, values: Any) -> str:
        """Add a constant; returns its name."""
        name: str = self._scope.get_unique_variable_name("constant")
        array = np.asarray(values)
        kind = (
            TensorProto.STRING if array.dtype.kind == "U" else np_dtype_to_tensor_dtype(array.dtype)
        )
        self._container.add_initializer(name, kind, list(array.shape), array.ravel().tolist())
        return name


def margins(forest: Forest, given: str, nodes: Nodes) -> str:
    """Margins ``(n, targets)`` of the features ``given``, in the forest's precision."""
    kind = forest.precision
    # The runtime sums doubles, but gives them in single precision.
    apart = kind is np.float64 and forest.link in ("identity", "square") and not forest.votes
    if apart:
        forest.center()
    features = nodes.add("Cast", given, to=_TENSORS[np.float32 if forest.rounds else kind])
    if forest.rounds:
        features = nodes.add("Cast", features, to=_TENSORS[kind])
    if forest.truncated:
        features = _with_truncated(forest, features, nodes)
    trees, places, targets, weights = map(list, zip(*forest.leaves, strict=True))
    lists: dict[str, Any] = {f"nodes_{name}": list(one) for name, one in forest.nodes.items()}
    numbers = {"nodes_values": lists.pop("nodes_values"), "target_weights": weights}
    if not apart:
        numbers["base_values"] = forest.base
    if kind is np.float64:
        more: dict[str, Any] = {
            f"{name}_as_tensor": numpy_helper.from_array(np.array(one, kind), name)
            for name, one in numbers.items()
        }
    else:
        more = {name: [float(number) for number in one] for name, one in numbers.items()}
    found = nodes.add(
        "TreeEnsembleRegressor", features,
        domain="ai.onnx.ml", target_treeids=trees, target_nodeids=places, target_ids=targets,
        n_targets=forest.targets, post_transform="NONE", **lists, **more,
    )  # fmt: skip
    if kind is np.float64:
        found = nodes.add("Cast", found, to=TensorProto.DOUBLE)
    if apart:
        found = nodes.add("Add", found, nodes.constant(np.array(forest.base, kind)))
    if forest.scale != 1:
        return nodes.add("Mul", found, nodes.constant(kind(forest.scale)))
    return found


def _with_truncated(forest: Forest, features: str, nodes: Nodes) -> str:
    """The features, and behind them those that count without their fraction."""
    kind = _TENSORS[forest.precision]
    some = nodes.add("Gather", features, nodes.constant(np.array(forest.truncated)), axis=1)
    # What is missing is no category, as a number below zero is none.
    known = nodes.add("Where", nodes.add("IsNaN", some), nodes.constant(forest.precision(-1)), some)
    whole = nodes.add("Cast", nodes.add("Cast", known, to=TensorProto.INT64), to=kind)
    return nodes.add("Concat", features, whole, axis=1)


def link(forest: Forest, found: str, nodes: Nodes) -> str:
    """What the library's predict makes of margins, numbers ``(n, targets)``, or (n, 1)."""
    kind = _TENSORS[forest.precision]
    match forest.link:
        case "sigmoid":
            return nodes.add("Sigmoid", found)
        case "softmax":
            return nodes.add("Softmax", found, axis=1)
        case "exp":
            return nodes.add("Exp", found)
        case "softplus":
            return nodes.add("Softplus", found)
        case "square":
            return nodes.add("Mul", found, nodes.add("Abs", found))
        case "step":
            above = nodes.add("Greater", found, nodes.constant(forest.precision(0)))
            return nodes.add("Cast", above, to=kind)
        case "argmax":
            best = nodes.add("ArgMax", found, axis=1, keepdims=1)
            return nodes.add("Cast", best, to=kind)
        case "sort":
            return nodes.smallest(found, nodes.constant(np.array([forest.targets])))[0]
    return found


def matching(given: Any) -> Any:
    """The type of skl2onnx of the numbers that a converter makes of ``given``."""
    return DoubleTensorType if isinstance(given.type, DoubleTensorType) else FloatTensorType


def tensor_of(kind: Any) -> int:
    """ONNX's number for a type of skl2onnx."""
    number: int = kind().to_onnx_type().tensor_type.elem_type
    return number


def number_of(kind: Any) -> type[np.floating[Any]]:
    """NumPy's type for a type of skl2onnx of numbers."""
    return np.float64 if kind is DoubleTensorType else np.float32


def classifier_shapes(operator: Any) -> None:
    """Set the types of a classifier's labels and probabilities."""
    given, classes = operator.inputs[0], operator.raw_operator.classes_
    rows, number = given.get_first_dimension(), matching(given)
    several = isinstance(classes, list)
    numbers = all(map(are_numbers, classes)) if several else are_numbers(classes)
    label = Int64TensorType if numbers else StringTensorType
    operator.outputs[0].type = label([rows, len(classes)] if several else [rows])
    operator.outputs[1].type = number(
        [len(classes), rows, max(map(len, classes))] if several else [rows, len(classes)]
    )


def labels(classes: Any, found: str, nodes: Nodes, out: str = "", *, keepdims: int) -> str:
    """The class of the best number of each row of ``(n, classes)``."""
    best = nodes.add("ArgMax", found, axis=1, keepdims=keepdims)
    known = np.asarray(classes).astype(np.int64 if are_numbers(classes) else str)
    return nodes.add("Gather", nodes.constant(known), best, out=out, axis=0)


def are_numbers(classes: Any) -> bool:
    """Whether labels are numbers in a graph."""
    return np.asarray(classes).dtype.kind in "iubf"


def columns(operator: Any, nodes: Nodes) -> Iterator[tuple[str, Any]]:
    """The name ``(n, 1)`` and the type of each column of an operator's inputs."""
    for given in operator.inputs:
        width = given.type.shape[1]
        for place in range(width):
            name = given.full_name
            if width > 1:
                name = nodes.add("Gather", name, nodes.constant(np.array([place])), axis=1)
            yield name, given.type
