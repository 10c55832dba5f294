"""SimpleImputer in double precision: ONNX's own Imputer has none in the runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx.common._registration import get_converter, get_shape_calculator
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.impute import SimpleImputer

from importer.nodes import Nodes

_THEIRS = "SklearnSimpleImputer"


def register_imputer() -> None:
    """Teach skl2onnx; what is not about numbers and NaN is left to its own converter."""
    update_registered_converter(SimpleImputer, "NumbersSimpleImputer", _shapes, _imputer)


def _is_simple(operator: Any) -> bool:
    model, given = operator.raw_operator, operator.inputs[0].type
    try:
        statistics = np.asarray(model.statistics_, np.float64)
        nan = bool(np.isnan(model.missing_values))
    except (TypeError, ValueError):
        return False
    numbers = isinstance(given, (DoubleTensorType, FloatTensorType)) and len(operator.inputs) == 1
    whole = not np.isnan(statistics).any() and not model.add_indicator
    return nan and numbers and whole


def _shapes(operator: Any) -> None:
    if not _is_simple(operator):
        get_shape_calculator(_THEIRS)(operator)
        return
    given = operator.inputs[0].type
    operator.outputs[0].type = type(given)(list(given.shape))


def _imputer(scope: Any, operator: Any, container: Any) -> None:
    if not _is_simple(operator):
        get_converter(_THEIRS)(scope, operator, container)
        return
    nodes, given = Nodes(scope, container), operator.inputs[0]
    double = isinstance(given.type, DoubleTensorType)
    statistics = np.asarray(operator.raw_operator.statistics_)
    instead = nodes.constant(statistics.astype(np.float64 if double else np.float32)[None, :])
    missing = nodes.add("IsNaN", given.full_name)
    nodes.add("Where", missing, instead, given.full_name, out=operator.outputs[0].full_name)
