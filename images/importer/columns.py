"""The columns of a model's signature, and tables and matrices of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from mlflow.types import DataType, Schema, TensorSpec
from numpy.typing import NDArray

from importer.errors import RefusedError

MOST, LONGEST_NAME = 1000, 100
NUMPY = {
    "boolean": "bool", "integer": "int32", "long": "int64", "float": "float32",
    "double": "float64", "string": "object",
}  # fmt: skip
FLOATS = ("float", "double")
# What MLflow calls a whole table, or a value, that it cannot describe.
_NAMELESS = ("any", "AnyType", "Any")
_TENSORS = {numpy: name for name, numpy in NUMPY.items() if name != "string"}


@dataclass(frozen=True)
class Column:
    """A column of the signature, with MLflow's name of its type."""

    name: str
    type: str
    required: bool = True


def columns_of(schema: Schema) -> tuple[tuple[Column, ...], str]:
    """The columns, and the type of NumPy where they are a matrix's. Raises RefusedError."""
    specs = list(schema.inputs)
    if any(isinstance(spec, TensorSpec) for spec in specs):
        columns, tensor = _of_tensor(specs)
    else:
        columns, tensor = tuple(_of_spec(k, spec) for k, spec in enumerate(specs)), ""
    if not 1 <= len(columns) <= MOST:
        raise RefusedError(
            f"it has {len(columns)} columns; {MOST} are taken at most",
            "train it on fewer columns, or put what makes them into its pipeline",
        )
    if len({column.name for column in columns}) < len(columns):
        raise RefusedError("two of its columns have one name", "train it with other names")
    return columns, tensor


def with_missing(columns: tuple[Column, ...], example: Any) -> tuple[Column, ...]:
    """The columns, doubles where the example has nothing in one of integers or booleans.

    Only floats have a value for what is missing, and the model itself is given floats then.
    """
    if not isinstance(example, pd.DataFrame):
        return columns
    return tuple(
        replace(one, type="double")
        if one.type in ("boolean", "integer", "long")
        and one.name in example
        and bool(example[one.name].isna().any())
        else one
        for one in columns
    )


def table(columns: tuple[Column, ...], values: list[Any], tensor: str = "") -> Any:
    """What the model is given: a matrix where its signature has one, or a table."""
    if tensor:
        return np.column_stack(values).astype(tensor)
    pairs = zip(columns, values, strict=True)
    return pd.DataFrame({
        c.name: list(v) if c.type == "string" else np.asarray(v).astype(NUMPY[c.type])
        for c, v in pairs
    })  # fmt: skip


def values(given: Any, columns: tuple[Column, ...]) -> list[NDArray[Any]]:
    """The columns of what a model is given, one by one. Raises RefusedError."""
    try:
        if isinstance(given, pd.DataFrame):
            return [given[c.name].to_numpy(NUMPY[c.type]) for c in columns]
        if isinstance(given, pd.Series):
            given = given.to_numpy()
        matrix = np.asarray(given)
        # Of one column, a list of its values is its rows.
        matrix = matrix.reshape(-1, 1) if len(columns) == 1 else np.atleast_2d(matrix)
        return [matrix[:, k].astype(NUMPY[c.type]) for k, c in enumerate(columns)]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise RefusedError(
            f"its input example does not fit its signature: {error}",
            "log it with signature=infer_signature(X, ...) and input_example of the same X",
        ) from error


def _of_tensor(specs: list[Any]) -> tuple[tuple[Column, ...], str]:
    spec = specs[0]
    kind = _TENSORS.get(np.dtype(spec.type).name) if isinstance(spec, TensorSpec) else None
    if len(specs) > 1 or kind is None or len(spec.shape) != 2 or spec.shape[1] < 1:
        raise RefusedError(
            f"its signature is {', '.join(map(str, specs))[:200]}; of tensors, one matrix of"
            " numbers, (-1, columns), is taken",
            "log it with the signature of a table, or of one matrix",
        )
    columns = tuple(Column(str(k), kind) for k in range(spec.shape[1]))
    return columns, np.dtype(spec.type).name


def _of_spec(place: int, spec: Any) -> Column:
    name = str(place) if spec.name is None else str(spec.name)
    kind = spec.type.name if isinstance(spec.type, DataType) else str(spec.type)
    if kind in _NAMELESS:
        raise RefusedError(
            f"its signature says {kind} where a table's columns should be: MLflow writes that for a"
            " table with a column that it has no type for (uint64, timedelta, period, complex)",
            "cast that column to int64, float64 or str, and log the model again",
        )
    if kind not in NUMPY:
        raise RefusedError(
            f"its column {name} is of type {kind}; what is taken is {', '.join(NUMPY)}",
            "put what makes numbers or strings of it before the model",
        )
    if not 1 <= len(name) <= LONGEST_NAME:
        raise RefusedError(
            f"the name of its column {name[:20]!r} is not of 1 to {LONGEST_NAME} characters",
            "train it with shorter names",
        )
    return Column(name, kind, bool(spec.required))
