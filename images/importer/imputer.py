"""SimpleImputer and MissingIndicator, exact in either precision, of strings too."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import StringTensorType
from skl2onnx.operator_converters.common import concatenate_variables
from sklearn.impute import MissingIndicator, SimpleImputer

from importer.boosters import refused
from importer.nodes import Nodes, matching, number_of, tensor_of

_ONNX = "ai.onnx.ml"


def register_imputer() -> None:
    """Teach skl2onnx."""
    update_registered_converter(SimpleImputer, "ExactSimpleImputer", _shapes, _imputer)
    update_registered_converter(
        MissingIndicator, "ExactMissingIndicator", _indicator_shapes, _indicator
    )


def _shapes(operator: Any) -> None:
    model, given = operator.raw_operator, operator.inputs[0]
    width = len(_kept(model)) + len(_indicated(model))
    kind = StringTensorType if isinstance(given.type, StringTensorType) else matching(given)
    operator.outputs[0].type = kind([given.get_first_dimension(), width])


def _imputer(scope: Any, operator: Any, container: Any) -> None:
    nodes, model = Nodes(scope, container), operator.raw_operator
    given = concatenate_variables(scope, operator.inputs, container)
    out, strings = operator.outputs[0].full_name, _of_strings(operator)
    if strings:
        if model.add_indicator:
            raise refused("an indicator of missing strings (add_indicator)")
        found, missing = given, _missing_strings(given, model.missing_values, nodes)
    else:
        found = nodes.add("Cast", given, to=tensor_of(matching(operator.inputs[0])))
        missing = _missing_numbers(
            found, model.missing_values, number_of(matching(operator.inputs[0])), nodes
        )
    kept = _kept(model)
    if missing:
        statistics = np.array([one if one == one else 0 for one in model.statistics_], object)
        instead = nodes.constant(
            statistics.astype(str)[None, :] if strings
            else statistics.astype(number_of(matching(operator.inputs[0])))[None, :]
        )  # fmt: skip
        found = nodes.add("Where", missing, instead, found)
    if len(kept) < len(model.statistics_):
        found = nodes.add("Gather", found, nodes.constant(np.array(kept)), axis=1)
    if not model.add_indicator:
        nodes.add("Identity", found, out=out)
        return
    flags = nodes.add("Gather", missing, nodes.constant(np.array(_indicated(model))), axis=1)
    flags = nodes.add("Cast", flags, to=tensor_of(matching(operator.inputs[0])))
    nodes.add("Concat", found, flags, out=out, axis=1)


def _indicator_shapes(operator: Any) -> None:
    given, features = operator.inputs[0], operator.raw_operator.features_
    operator.outputs[0].type = matching(given)([given.get_first_dimension(), len(features)])


def _indicator(scope: Any, operator: Any, container: Any) -> None:
    nodes, model = Nodes(scope, container), operator.raw_operator
    if _of_strings(operator):
        raise refused("an indicator of missing strings (MissingIndicator)")
    kind = tensor_of(matching(operator.inputs[0]))
    given = nodes.add("Cast", concatenate_variables(scope, operator.inputs, container), to=kind)
    missing = _missing_numbers(
        given, model.missing_values, number_of(matching(operator.inputs[0])), nodes
    )
    flags = nodes.add("Gather", missing, nodes.constant(np.array(model.features_)), axis=1)
    nodes.add("Cast", flags, out=operator.outputs[0].full_name, to=kind)


def _of_strings(operator: Any) -> bool:
    return any(isinstance(given.type, StringTensorType) for given in operator.inputs)


def _kept(model: Any) -> list[int]:
    """The columns that it keeps: one of which training saw nothing is left out."""
    places = range(len(model.statistics_))
    if getattr(model, "keep_empty_features", False):
        return list(places)
    return [place for place in places if model.statistics_[place] == model.statistics_[place]]


def _indicated(model: Any) -> list[int]:
    return [int(one) for one in model.indicator_.features_] if model.add_indicator else []


def _missing_numbers(given: str, value: Any, number: Any, nodes: Nodes) -> str:
    if value is None or value != value:
        return nodes.add("IsNaN", given)
    return nodes.add("Equal", given, nodes.constant(number(value)))


def _missing_strings(given: str, value: Any, nodes: Nodes) -> str:
    """Where strings are ``value``; nothing where that is NaN or None, which no string is."""
    if not isinstance(value, str):
        return ""
    flags = nodes.add(
        "LabelEncoder", given, domain=_ONNX, keys_strings=[value], values_int64s=[1],
        default_int64=0,
    )  # fmt: skip
    return nodes.add("Cast", flags, to=TensorProto.BOOL)
