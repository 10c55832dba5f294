"""Requests and answers of the Open Inference Protocol, version 2."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field

from service.package_tabular import MAX_COLUMNS, MAX_OUTPUTS
from service.schemas import EXAMPLE_ROW

PREFIX = "/v2"

Size = Annotated[int, Field(strict=True, ge=0, le=2**40)]
Shape = Annotated[list[Size], Field(min_length=1, max_length=8)]
# What clients have nothing to say in is absent, or null.
Parameters = Annotated[
    dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)
]
# A table has one for each column.
_MOST_TENSORS = max(MAX_COLUMNS, MAX_OUTPUTS)


class InputTensor(BaseModel):
    """A tensor of the request; its numbers are in ``data``, or come as bytes after the JSON."""

    name: str
    shape: Shape
    datatype: str
    parameters: Parameters = Field(default_factory=dict)
    # Values, or rows of them; what they are is looked at once their shape is known.
    data: list[Any] | None = None


class WantedTensor(BaseModel):
    """A tensor that the answer is to have."""

    name: str
    parameters: Parameters = Field(default_factory=dict)


class InferRequest(BaseModel):
    """Tensors in; parameters that are not known are left alone, as the protocol has it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "inputs": [
                        {
                            "name": "instances", "shape": [1, 64], "datatype": "FP32",
                            "data": EXAMPLE_ROW,
                        }
                    ]
                }
            ]
        }
    )  # fmt: skip

    id: str | None = Field(default=None, max_length=256)
    parameters: Parameters = Field(default_factory=dict)
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=_MOST_TENSORS), FailFast()]
    outputs: Annotated[
        list[WantedTensor],
        Field(max_length=_MOST_TENSORS),
        FailFast(),
        BeforeValidator(lambda value: [] if value is None else value),
    ] = Field(default_factory=list)


class OutputTensor(BaseModel):
    """A tensor of the answer, row by row in ``data`` or as bytes after the JSON."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters | None = None
    data: list[int] | list[float] | list[bool] | list[str] | None = None


class InferResponse(BaseModel):
    """Tensors out."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class TensorMetadata(BaseModel):
    """A tensor that a model takes or gives; a size of -1 is open."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(BaseModel):
    """The service, and the extensions of the protocol that it speaks."""

    name: str = "kindling"
    version: str
    extensions: list[str]


class ServerLive(BaseModel):
    """The process is alive."""

    live: bool = True


class ServerReady(BaseModel):
    """Whether requests should be sent here."""

    ready: bool


class ModelReady(BaseModel):
    """Whether a model is served."""

    name: str
    ready: bool = True


class V2Problem(BaseModel):
    """Every answer under /v2 that is not a success has this shape."""

    error: str
