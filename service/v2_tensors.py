"""The tensors of a request and an answer of the Open Inference Protocol, JSON and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import Response
from numpy.typing import NDArray

from service.errors import InvalidRequestError
from service.models import Served
from service.tensors import from_bytes, from_json, strings_to_bytes
from service.v2_schemas import InferRequest, InferResponse, InputTensor, OutputTensor

HEAD = "Inference-Header-Content-Length"
_DATATYPES = {"b": "BOOL", "O": "BYTES", "i8": "INT64", "f4": "FP32", "f8": "FP64"}


def split(body: bytes, announced: str | None) -> tuple[bytes, bytes]:
    """The JSON and the bytes after it. Raises InvalidRequestError."""
    if announced is None:
        return body, b""
    # A number of thousands of digits is more than Python reads.
    if not announced.isdecimal() or len(announced) > 18 or int(announced) > len(body):
        raise InvalidRequestError("it is no length of a part of the body", field=HEAD)
    return body[: int(announced)], body[int(announced) :]


def contents(inputs: Sequence[InputTensor], rest: bytes) -> list[bytes | None]:
    """What each input has of the bytes after the JSON, in their order; None if it is in the JSON.

    Raises InvalidRequestError.
    """
    found: list[bytes | None] = []
    for place, tensor in enumerate(inputs):
        field = f"inputs[{place}]"
        size = tensor.parameters.get("binary_data_size")
        if size is None and tensor.data is None:
            raise InvalidRequestError("it has no data", field=field)
        if size is None:
            found.append(None)
            continue
        if tensor.data is not None:
            raise InvalidRequestError("it has data twice", field=field)
        if type(size) is not int or not 0 <= size <= len(rest):
            raise InvalidRequestError(
                f"{len(rest)} bytes come after the JSON",
                field=f"{field}.parameters.binary_data_size",
            )
        found.append(rest[:size])
        rest = rest[size:]
    if rest:
        raise InvalidRequestError("there are bytes of no input", field="body")
    return found


def numbers(tensor: InputTensor, content: bytes | None, field: str) -> NDArray[np.float64]:
    """The numbers of a tensor in double precision. Raises InvalidRequestError."""
    if content is None:
        return from_json(tensor.data or [], tensor.datatype, tensor.shape, field)
    return from_bytes(content, tensor.datatype, tensor.shape, field)


def wanted_outputs(asked: InferRequest, names: Sequence[str]) -> dict[str, bool]:
    """The outputs of the answer, and which of them as bytes. Raises InvalidRequestError."""
    usual = asked.parameters.get("binary_data_output") is True
    if not asked.outputs:
        return dict.fromkeys(names, usual)
    wanted = {}
    for index, tensor in enumerate(asked.outputs):
        if tensor.name not in names:
            known = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
            raise InvalidRequestError(
                f"the outputs are {known}"[:500], field=f"outputs[{index}].name"
            )
        if tensor.parameters.get("classification"):
            raise InvalidRequestError(
                f"there is no such extension; {names[0]} has the likeliest class",
                field=f"outputs[{index}].parameters.classification",
            )
        wanted[tensor.name] = tensor.parameters.get("binary_data", usual) is True
    return wanted


def answer(
    asked: InferRequest, served: Served, tensors: dict[str, tuple[NDArray[Any], bool]]
) -> Response:
    """The answer with these tensors, those that are marked as bytes."""
    outputs, rest = [], b""
    for name, (values, as_bytes) in tensors.items():
        kind = values.dtype.kind
        datatype = _DATATYPES.get(kind) or _DATATYPES[f"{kind}{values.dtype.itemsize}"]
        tensor = OutputTensor(name=name, datatype=datatype, shape=list(values.shape))
        if as_bytes:
            content = _to_bytes(values)
            tensor.parameters = {"binary_data_size": len(content)}
            rest += content
        else:
            tensor.data = values.ravel().tolist()
        outputs.append(tensor)
    said = InferResponse(
        model_name=served.name, model_version=served.version, id=asked.id, outputs=outputs
    )
    head = said.model_dump_json(exclude_none=True).encode()
    if not rest:
        return Response(head, media_type="application/json")
    return Response(
        head + rest, media_type="application/octet-stream", headers={HEAD: str(len(head))}
    )


def _to_bytes(values: NDArray[Any]) -> bytes:
    if values.dtype.kind == "O":
        return strings_to_bytes(values.ravel().tolist())
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
