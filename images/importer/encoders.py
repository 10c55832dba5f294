"""OneHotEncoder and OrdinalEncoder with all that they do with what they do not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from importer.errors import RefusedError
from importer.nodes import Nodes, columns

_ONNX = "ai.onnx.ml"


def register_encoders() -> None:
    """Teach skl2onnx."""
    update_registered_converter(OneHotEncoder, "ExactOneHotEncoder", _one_hot_shapes, _one_hot)
    update_registered_converter(OrdinalEncoder, "ExactOrdinalEncoder", _ordinal_shapes, _ordinal)


def _one_hot_shapes(operator: Any) -> None:
    model = operator.raw_operator
    width = sum(_groups(model, position).shape[1] for position in range(len(model.categories_)))
    kind = Int64TensorType if np.issubdtype(model.dtype, np.integer) else FloatTensorType
    operator.outputs[0].type = kind([operator.inputs[0].get_first_dimension(), width])


def _one_hot(scope: Any, operator: Any, container: Any) -> None:
    nodes, model = Nodes(scope, container), operator.raw_operator
    raises = model.handle_unknown == "error"
    result = []
    for position, (name, kind) in enumerate(columns(operator, nodes)):
        groups = _groups(model, position)
        if not groups.shape[1]:
            # Dropped whole; yet what is unknown must fail.
            groups = np.zeros((len(groups), 0))
        known = _known(model.categories_[position])
        index = _index(
            name, kind, known, _stand_in(model, position, "infrequent_if_exist", "warn"), nodes
        )
        flags = _flags(index, len(groups), nodes, raises=raises)
        if not np.array_equal(groups, np.eye(len(groups))):
            flags = nodes.add("MatMul", flags, nodes.constant(groups.astype(np.float32)))
        result.append(flags)
    kind = TensorProto.INT64 if np.issubdtype(model.dtype, np.integer) else TensorProto.FLOAT
    together = nodes.add("Concat", *result, axis=1)
    nodes.add("Cast", together, out=operator.outputs[0].full_name, to=kind)


def _ordinal_shapes(operator: Any) -> None:
    model = operator.raw_operator
    kind = Int64TensorType if np.issubdtype(model.dtype, np.integer) else FloatTensorType
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = kind([rows, len(model.categories_)])


def _ordinal(scope: Any, operator: Any, container: Any) -> None:
    nodes, model = Nodes(scope, container), operator.raw_operator
    result = []
    for position, (name, kind) in enumerate(columns(operator, nodes)):
        known = _known(model.categories_[position])
        codes = _codes(model, position, known)
        stand_in = _stand_in(model, position, "use_encoded_value")
        index = _index(name, kind, known, stand_in, nodes)
        if model.handle_unknown == "error":
            flags = _flags(index, len(known), nodes, raises=True)
            index = nodes.add("ArgMax", flags, axis=1, keepdims=1)
        else:
            # The last code is that of index -1.
            codes = [*codes, float(model.unknown_value)]
        result.append(nodes.add("Gather", nodes.constant(np.array(codes, np.float32)), index))
    kind = TensorProto.INT64 if np.issubdtype(model.dtype, np.integer) else TensorProto.FLOAT
    together = nodes.add("Concat", *result, axis=1)
    nodes.add("Cast", together, out=operator.outputs[0].full_name, to=kind)


def _codes(model: Any, position: int, known: Sequence[Any]) -> list[float]:
    grouped = _grouped(model, position)
    codes = [float(k if grouped is None else grouped[k]) for k in range(len(known))]
    if position in model._missing_indices:
        codes[model._missing_indices[position]] = float(model.encoded_missing_value)
    return codes


def _groups(model: Any, position: int) -> Any:
    """Which column each known category of one input sets, ``(categories, columns)`` of 0 and 1."""
    grouped, count = _grouped(model, position), len(model.categories_[position])
    table = np.eye(count) if grouped is None else np.eye(int(grouped.max()) + 1)[grouped]
    dropped = getattr(model, "_drop_idx_after_grouping", None)
    if dropped is None or dropped[position] is None:
        return table
    return np.delete(table, int(dropped[position]), axis=1)


def _grouped(model: Any, position: int) -> Any:
    """What each category becomes where infrequent ones are one, or None."""
    if not getattr(model, "_infrequent_enabled", False):
        return None
    return model._default_to_infrequent_mappings[position]


def _stand_in(model: Any, position: int, *ways: str) -> int:
    """The category that stands for unknown ones: an infrequent one, or -1 for none."""
    grouped = _grouped(model, position)
    if grouped is None or model.handle_unknown not in ways or isinstance(model, OrdinalEncoder):
        return -1
    infrequent = model._infrequent_indices[position]
    return -1 if infrequent is None else int(infrequent[0])


def _known(categories: Any) -> list[Any]:
    return [one.item() if isinstance(one, np.generic) else one for one in categories]


def _index(name: str, kind: Any, known: Sequence[Any], unknown: int, nodes: Nodes) -> str:
    """The place of each value among ``known`` ones, ``(n, 1)``; ``unknown`` where there is none."""
    if isinstance(kind, StringTensorType):
        # Nothing is missing among strings here: None and NaN are kept by their places alone.
        positions = {one: position for position, one in enumerate(known) if isinstance(one, str)}
        if not positions:
            raise _strange(known)
        return nodes.add(
            "LabelEncoder", name, domain=_ONNX, keys_strings=list(positions),
            values_int64s=list(positions.values()), default_int64=unknown,
        )  # fmt: skip
    if any(isinstance(one, str) for one in known):
        raise _strange(known)
    number = np.float64 if not isinstance(kind, FloatTensorType) else np.float32
    code = TensorProto.DOUBLE if number is np.float64 else TensorProto.FLOAT
    given = nodes.add("Cast", name, to=code)
    numbers = np.array([np.nan if one is None else float(one) for one in known], number)
    flags = nodes.add("Equal", given, nodes.constant(numbers[None, :]))
    if np.isnan(numbers).any():
        missing = nodes.add(
            "And", nodes.add("IsNaN", given), nodes.constant(np.isnan(numbers)[None, :])
        )
        flags = nodes.add("Or", flags, missing)
    # Categories differ, so that the sum has one term at most: what is unknown adds none.
    whole = nodes.add("Cast", flags, to=TensorProto.INT64)
    weights = np.arange(len(numbers)) - unknown
    total = nodes.add("ReduceSum", nodes.add("Mul", whole, nodes.constant(weights[None, :])),
                      nodes.constant(np.array([1])), keepdims=1)  # fmt: skip
    return nodes.add("Add", total, nodes.constant(np.array(unknown)))


def _flags(index: str, count: int, nodes: Nodes, *, raises: bool) -> str:
    """0 and 1 ``(n, count)`` of places ``(n, 1)``; of an unknown one zeros, or the run fails."""
    flags = nodes.add(
        "OneHotEncoder", index, domain=_ONNX, cats_int64s=list(range(count)), zeros=int(not raises)
    )
    return nodes.add("Reshape", flags, nodes.constant(np.array([-1, count])))


def _strange(known: Sequence[Any]) -> RefusedError:
    kinds = ", ".join(sorted({type(one).__name__ for one in known}))
    return RefusedError(
        f"an encoder of it has categories of {kinds} for a column of another type",
        "log it with a signature of the types that it was trained on",
    )
