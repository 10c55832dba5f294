"""Models for tables in the Open Inference Protocol: an input for each column, or a matrix."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidRequestError
from service.package_tabular import InputPart, TabularPart
from service.rows import check_count
from service.tables import check_numbers, table_type
from service.tabular import Table
from service.tensors import strings_from_bytes
from service.v2_schemas import InferRequest, InputTensor, TensorMetadata
from service.v2_tensors import contents, numbers

MATRIX = "input"
_DATATYPES = {
    "boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32", "double": "FP64",
    "string": "BYTES",
}  # fmt: skip


def inputs_of(part: TabularPart) -> list[TensorMetadata]:
    """What a model takes."""
    if part.tensor:
        datatype = _DATATYPES[part.inputs[0].type]
        return [TensorMetadata(name=MATRIX, datatype=datatype, shape=[-1, len(part.inputs)])]
    return [
        TensorMetadata(name=column.name, datatype=_DATATYPES[column.type], shape=[-1, 1])
        for column in part.inputs
    ]


def outputs_of(part: TabularPart) -> list[TensorMetadata]:
    """What it gives."""
    return [
        TensorMetadata(
            name=output.name,
            datatype=_DATATYPES[output.type],
            shape=[-1] if output.size == 1 and output.classes is None else [-1, output.size],
        )
        for output in part.outputs
    ]


def table_of(asked: InferRequest, rest: bytes, part: TabularPart, most: int) -> Table:
    """The rows that are asked about. Raises InvalidRequestError naming what is wrong with them."""
    places = _places(asked, part)
    found = contents(asked.inputs, rest)
    rows = asked.inputs[0].shape[0]
    check_count(rows, most, "inputs[0].shape")
    if part.tensor:
        tensor = asked.inputs[0]
        if tensor.shape != [rows, len(part.inputs)]:
            raise InvalidRequestError(f"it is [n, {len(part.inputs)}]", field="inputs[0].shape")
        matrix = numbers(tensor, found[0], "inputs[0]")
        for place, column in enumerate(part.inputs):
            check_numbers(matrix[:, place], column, partial(_place, column=place))
        return matrix
    table = np.empty((rows, len(part.inputs)), table_type(part))
    for index, column in enumerate(part.inputs):
        if column.name not in places:
            table[:, index] = math.nan
            continue
        place = places[column.name]
        field, tensor = f"inputs[{place}]", asked.inputs[place]
        if tensor.shape not in ([rows], [rows, 1]):
            raise InvalidRequestError(f"it is [{rows}] or [{rows}, 1]", field=f"{field}.shape")
        table[:, index] = _column(tensor, found[place], column, field)
    return table


def _place(row: int, *, column: int) -> str:
    return f"inputs[0][{row}][{column}]"


def _places(asked: InferRequest, part: TabularPart) -> dict[str, int]:
    """Where the input for each column is. Raises InvalidRequestError."""
    known = {MATRIX} if part.tensor else {column.name for column in part.inputs}
    places: dict[str, int] = {}
    for place, tensor in enumerate(asked.inputs):
        if tensor.name not in known:
            raise InvalidRequestError("there is no such input", field=f"inputs[{place}].name")
        if tensor.name in places:
            raise InvalidRequestError("it is there twice", field=f"inputs[{place}].name")
        places[tensor.name] = place
    if not part.tensor:
        for column in part.inputs:
            if column.name not in places and not column.optional:
                raise InvalidRequestError(f"there is no {column.name}", field="inputs")
    return places


def _column(
    tensor: InputTensor, content: bytes | None, column: InputPart, field: str
) -> NDArray[Any] | list[Any]:
    """A column's values, one for each row. Raises InvalidRequestError."""
    if (column.type == "string") != (tensor.datatype == "BYTES") or (
        (column.type == "boolean") != (tensor.datatype == "BOOL")
    ):
        wanted = _DATATYPES[column.type]
        raise InvalidRequestError(f"a {column.type} column is {wanted}", field=f"{field}.datatype")
    if column.type == "string" and content is not None:
        return strings_from_bytes(content, tensor.shape[0], field)
    if column.type in ("string", "boolean") and content is None:
        return _from_json(tensor, str if column.type == "string" else bool, field)
    found = numbers(tensor, content, field).reshape(-1)
    check_numbers(found, column, lambda row: f"{field}[{row}]")
    return found


def _from_json(tensor: InputTensor, kind: type[Any], field: str) -> list[Any]:
    data, rows = tensor.data or [], tensor.shape[0]
    flat = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in data]
    if len(flat) != rows:
        raise InvalidRequestError("the data has another shape", field=f"{field}.data")
    if not all(type(one) is kind for one in flat):
        words = "string" if kind is str else "boolean"
        raise InvalidRequestError(
            f"the data has something that is no {words}", field=f"{field}.data"
        )
    return flat
