"""Scalers and discretizers, digit for digit: trees behind them decide at the last one."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.operator_converters.common import concatenate_variables
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)

from importer.nodes import Nodes, columns, matching, number_of, tensor_of


def register_numeric() -> None:
    """Teach skl2onnx."""
    for kind in (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, Binarizer):
        update_registered_converter(kind, f"Exact{kind.__name__}", _same_shapes, _scaler)
    update_registered_converter(KBinsDiscretizer, "ExactKBinsDiscretizer", _bin_shapes, _bins)


def _same_shapes(operator: Any) -> None:
    given = operator.inputs[0]
    width = sum(one.type.shape[1] for one in operator.inputs)
    operator.outputs[0].type = matching(given)([given.get_first_dimension(), width])


def _scaler(scope: Any, operator: Any, container: Any) -> None:
    nodes, model, kind = (
        Nodes(scope, container),
        operator.raw_operator,
        matching(operator.inputs[0]),
    )
    result = nodes.add(
        "Cast", concatenate_variables(scope, operator.inputs, container), to=tensor_of(kind)
    )
    if isinstance(model, Binarizer):
        result = nodes.add("Greater", result, nodes.constant(number_of(kind)(model.threshold)))
    else:
        for step, numbers in _steps(model):
            if numbers is not None:
                result = _applied(step, result, np.asarray(numbers), kind, model, nodes)
        if getattr(model, "clip", False):
            ends = [nodes.constant(number_of(kind)(end)) for end in model.feature_range]
            result = nodes.add("Clip", result, *ends)
    nodes.add("Cast", result, out=operator.outputs[0].full_name, to=tensor_of(kind))


def _steps(model: Any) -> list[tuple[str, Any]]:
    """What a scaler does to its input, in its order."""
    if isinstance(model, StandardScaler):
        center = model.mean_ if model.with_mean else None
        return [("Sub", center), ("Div", model.scale_ if model.with_std else None)]
    if isinstance(model, RobustScaler):
        center = model.center_ if model.with_centering else None
        return [("Sub", center), ("Div", model.scale_ if model.with_scaling else None)]
    if isinstance(model, MaxAbsScaler):
        return [("Div", model.scale_)]
    return [("Mul", model.scale_), ("Add", model.min_)]


def _applied(step: str, result: str, numbers: Any, kind: Any, model: Any, nodes: Nodes) -> str:
    number = number_of(kind)
    if number is np.float64 or isinstance(model, StandardScaler):
        return nodes.add(step, result, nodes.constant(numbers.astype(number)))
    # NumPy computes in double in between.
    wide = nodes.add("Cast", result, to=TensorProto.DOUBLE)
    wide = nodes.add(step, wide, nodes.constant(numbers.astype(np.float64)))
    return nodes.add("Cast", wide, to=TensorProto.FLOAT)


def _bin_shapes(operator: Any) -> None:
    model, given = operator.raw_operator, operator.inputs[0]
    bins = [int(one) for one in model.n_bins_]
    width = len(bins) if model.encode == "ordinal" else sum(bins)
    operator.outputs[0].type = matching(given)([given.get_first_dimension(), width])


def _bins(scope: Any, operator: Any, container: Any) -> None:
    nodes, model, result = Nodes(scope, container), operator.raw_operator, []
    for position, (name, _) in enumerate(columns(operator, nodes)):
        # The edges are doubles, whatever is compared with them.
        given = nodes.add("Cast", name, to=TensorProto.DOUBLE)
        edges = np.asarray(model.bin_edges_[position][1:-1], np.float64)
        # One more edge, which no number reaches: there may be none.
        ends = nodes.constant(np.append(edges, np.inf)[None, :])
        passed = nodes.add("Cast", nodes.add("LessOrEqual", ends, given), to=TensorProto.INT64)
        bin_of = nodes.add("ReduceSum", passed, nodes.constant(np.array([1])), keepdims=1)
        if model.encode != "ordinal":
            each = nodes.constant(np.arange(int(model.n_bins_[position]))[None, :])
            bin_of = nodes.add("Equal", bin_of, each)
        result.append(nodes.add("Cast", bin_of, to=tensor_of(matching(operator.inputs[0]))))
    nodes.add("Concat", *result, out=operator.outputs[0].full_name, axis=1)
