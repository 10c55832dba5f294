"""Nodes of an ONNX graph for boosted trees."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper
from onnx.helper import np_dtype_to_tensor_dtype

from importer.forest import Forest

_TENSORS = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE}


class Nodes:
    """Adds nodes to a graph that skl2onnx makes, each with one output."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope, self._container = scope, container

    def add(self, kind: str, *inputs: str, out: str = "", domain: str = "", **more: Any) -> str:
        """Add a node; returns the name of its output."""
        out = out or self._scope.get_unique_variable_name(kind.lower())
        name = self._scope.get_unique_operator_name(kind)
        self._container.add_node(kind, list(inputs), [out], op_domain=domain, name=name, **more)
        return out

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
    """Margins ``(n, targets)``, floats, of the features ``given``."""
    trees, places, targets, weights = map(list, zip(*forest.leaves, strict=True))
    lists: dict[str, Any] = {f"nodes_{name}": list(one) for name, one in forest.nodes.items()}
    numbers = {
        "nodes_values": lists.pop("nodes_values"), "target_weights": weights,
        "base_values": forest.base,
    }  # fmt: skip
    kind = forest.precision
    if kind is np.float64:
        more: dict[str, Any] = {
            f"{name}_as_tensor": numpy_helper.from_array(np.array(one, kind), name)
            for name, one in numbers.items()
        }
    else:
        more = {name: [float(number) for number in one] for name, one in numbers.items()}
    found = nodes.add(
        "TreeEnsembleRegressor", nodes.add("Cast", given, to=_TENSORS[kind]),
        domain="ai.onnx.ml", target_treeids=trees, target_nodeids=places, target_ids=targets,
        n_targets=forest.targets, post_transform="NONE", **lists, **more,
    )  # fmt: skip
    if forest.scale != 1:
        return nodes.add("Mul", found, nodes.constant(np.float32(forest.scale)))
    return found


def link(forest: Forest, found: str, nodes: Nodes) -> str:
    """What the library's predict makes of margins, floats ``(n, targets)``, or (n, 1)."""
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
            above = nodes.add("Greater", found, nodes.constant(np.float32(0)))
            return nodes.add("Cast", above, to=TensorProto.FLOAT)
        case "argmax":
            best = nodes.add("ArgMax", found, axis=1, keepdims=1)
            return nodes.add("Cast", best, to=TensorProto.FLOAT)
    return found
