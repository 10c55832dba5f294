"""Tensors of the Open Inference Protocol: in JSON, or as bytes after it.

The formats are those of https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
with its binary tensor data extension.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidRequestError

# Little-endian and row-major on the wire, whatever the machine is.
DATATYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"), "UINT8": np.dtype("<u1"), "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"), "UINT64": np.dtype("<u8"), "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"), "INT32": np.dtype("<i4"), "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"), "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8"),
}  # fmt: skip

_NUMBERS = (int, float)
# Of each element of BYTES.
_LENGTH = struct.Struct("<I")


def dtype_of(datatype: str, field: str) -> np.dtype[Any]:
    """Of numbers of this datatype. Raises InvalidRequestError for another one."""
    found = DATATYPES.get(datatype)
    if found is None:
        names = ", ".join(DATATYPES)
        raise InvalidRequestError(f"a datatype is one of {names}", field=f"{field}.datatype")
    return found


def from_bytes(
    content: bytes, datatype: str, shape: Sequence[int], field: str
) -> NDArray[np.float64]:
    """The numbers in ``content``, in double precision. Raises InvalidRequestError."""
    dtype = dtype_of(datatype, field)
    wanted = math.prod(shape) * dtype.itemsize
    if len(content) != wanted:
        raise InvalidRequestError(
            f"this shape and datatype are {wanted} bytes, not {len(content)}", field=field
        )
    return np.frombuffer(content, dtype).reshape(shape).astype(np.float64)


def from_json(
    data: Sequence[Any], datatype: str, shape: Sequence[int], field: str
) -> NDArray[np.float64]:
    """The numbers in ``data``, flat or nested as ``shape`` is, in double precision.

    JSON has no NaN: among floats it is null. Raises InvalidRequestError.
    """
    dtype, field = dtype_of(datatype, field), f"{field}.data"
    nested = bool(data) and isinstance(data[0], list)
    if nested and not _has_shape(data, shape):
        raise InvalidRequestError("the data has another shape", field=field)
    flat = [number for row in data for number in row] if nested else data
    if len(flat) != math.prod(shape):
        raise InvalidRequestError("the data has another shape", field=field)
    if dtype.kind == "f" and None in flat:
        flat = [math.nan if number is None else number for number in flat]
    # Not what numpy would take for a number: true, or "7".
    if not all(type(number) in _NUMBERS for number in flat):
        raise InvalidRequestError("the data has something that is no number", field=field)
    try:
        numbers = np.asarray(flat, np.float64)
    except OverflowError:
        raise InvalidRequestError(f"not all numbers are {datatype}", field=field) from None
    if dtype.kind in "iu" and not (numbers == np.trunc(numbers)).all():
        raise InvalidRequestError(f"not all numbers are {datatype}", field=field)
    return numbers.reshape(shape)


def _has_shape(rows: Sequence[Any], shape: Sequence[int]) -> bool:
    if len(shape) != 2 or len(rows) != shape[0]:
        return False
    return all(isinstance(row, list) and len(row) == shape[1] for row in rows)


def strings_from_bytes(content: bytes, count: int, field: str) -> list[str]:
    """``count`` texts, each with its length before it. Raises InvalidRequestError."""
    texts: list[str] = []
    place = 0
    while place < len(content) and len(texts) <= count:
        (length,) = _LENGTH.unpack(content[place : place + 4].ljust(4, b"\0"))
        begin, place = place + 4, place + 4 + length
        if place > len(content):
            raise InvalidRequestError("a text ends after its bytes", field=field)
        try:
            texts.append(content[begin:place].decode())
        except UnicodeDecodeError:
            raise InvalidRequestError("a text is not UTF-8", field=field) from None
    if len(texts) != count:
        raise InvalidRequestError(f"its bytes are not {count} texts", field=field)
    return texts


def strings_to_bytes(texts: Sequence[str]) -> bytes:
    """The texts, each with its length before it."""
    encoded = (text.encode() for text in texts)
    return b"".join(_LENGTH.pack(len(text)) + text for text in encoded)
