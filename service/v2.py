"""The Open Inference Protocol, version 2, over the classifiers that are served."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from numpy.typing import NDArray
from starlette.responses import JSONResponse

from service.body import json_body, parse_body, read_body
from service.classifier import Rows
from service.classify import REFUSALS, classify, part_of
from service.errors import InvalidRequestError
from service.lifecycle import Lifecycle
from service.models import Models, Served
from service.observed import answered_by
from service.package import ClassifierPart
from service.predictor import Predictor
from service.rows import check_count, in_range
from service.settings import Settings
from service.tensors import from_bytes, from_json
from service.v2_schemas import (
    PREFIX,
    InferRequest,
    InferResponse,
    InputTensor,
    ModelMetadata,
    ModelReady,
    OutputTensor,
    ServerLive,
    ServerMetadata,
    ServerReady,
    TensorMetadata,
    V2Problem,
)

INPUT, LABEL, PROBABILITIES = "instances", "label", "probabilities"
_HEAD = "Inference-Header-Content-Length"
_REFUSALS: dict[int | str, dict[str, Any]] = {status: {"model": V2Problem} for status in REFUSALS}
_ABSENT: dict[int | str, dict[str, Any]] = {status: {"model": V2Problem} for status in (404, 503)}
_PATHS = (f"{PREFIX}/models/{{model}}", f"{PREFIX}/models/{{model}}/versions/{{version}}")


def add_v2(
    app: FastAPI, settings: Settings, models: Models, predictor: Predictor, lifecycle: Lifecycle
) -> None:
    """Serve /v2."""

    @app.get(PREFIX)
    async def server_metadata() -> ServerMetadata:
        """What serves, and which extensions of the protocol it speaks."""
        return ServerMetadata(version=app.version, extensions=["binary_tensor_data"])

    @app.get(f"{PREFIX}/health/live")
    async def live() -> ServerLive:
        """Whether the process is alive."""
        return ServerLive()

    @app.get(f"{PREFIX}/health/ready", responses={503: {"model": ServerReady}})
    async def ready() -> Response:
        """Whether requests should be sent here."""
        is_ready = lifecycle.reason_not_ready() is None
        content = ServerReady(ready=is_ready).model_dump()
        return JSONResponse(content, status_code=200 if is_ready else 503)

    async def metadata(model: str, version: str | None = None) -> ModelMetadata:
        """What a classifier takes and gives."""
        served = _find(models, model, version)
        part = part_of(served)
        return ModelMetadata(
            name=served.name,
            versions=[served.version],
            platform="onnx",
            inputs=[TensorMetadata(name=INPUT, datatype="FP32", shape=[-1, part.features])],
            outputs=[
                TensorMetadata(name=LABEL, datatype="INT64", shape=[-1]),
                TensorMetadata(name=PROBABILITIES, datatype="FP32", shape=[-1, part.classes]),
            ],
        )

    async def model_ready(model: str, version: str | None = None) -> ModelReady:
        """Whether a classifier is served."""
        return ModelReady(name=_find(models, model, version).name)

    async def infer(request: Request, model: str, version: str | None = None) -> Response:
        """Classify rows, which come as a tensor of numbers: `instances`."""
        with predictor.admit():
            body = await read_body(request, settings.max_body_bytes, settings.body_seconds)
            head, rest = _split(body, request.headers.get(_HEAD))
            asked = parse_body(head, InferRequest)
            served = _find(models, model, version)
            answered_by(request.scope, served)
            rows = _rows(asked, rest, part_of(served), settings.max_batch)
            wanted = _wanted(asked)
            classified = await classify(served, rows, predictor)
        found: dict[str, NDArray[Any]] = {
            LABEL: classified.labels,
            PROBABILITIES: classified.probabilities,
        }
        return _answer(asked, served, {name: (found[name], wanted[name]) for name in wanted})

    described = json_body(InferRequest.model_json_schema())
    for number, path in enumerate(_PATHS):
        suffix = "_of_version" if number else ""
        app.get(path, responses=_ABSENT, operation_id=f"v2_metadata{suffix}")(metadata)
        app.get(f"{path}/ready", responses=_ABSENT, operation_id=f"v2_ready{suffix}")(model_ready)
        app.post(
            f"{path}/infer",
            response_model=InferResponse,
            responses=_REFUSALS,
            openapi_extra=described,
            operation_id=f"v2_infer{suffix}",
        )(infer)


def _find(models: Models, name: str, version: str | None) -> Served:
    """The classifier, in that version if one is named. Raises ModelNotFoundError, NotReadyError."""
    return models.get(name, "classifier", version)


def _split(body: bytes, announced: str | None) -> tuple[bytes, bytes]:
    """The JSON and the bytes after it. Raises InvalidRequestError."""
    if announced is None:
        return body, b""
    if not announced.isdecimal() or int(announced) > len(body):
        raise InvalidRequestError("it is no length of a part of the body", field=_HEAD)
    return body[: int(announced)], body[int(announced) :]


def _rows(asked: InferRequest, rest: bytes, part: ClassifierPart, most: int) -> Rows:
    """The rows to classify. Raises InvalidRequestError naming what is wrong with them."""
    field = "inputs[0]"
    if len(asked.inputs) > 1 or asked.inputs[0].name != INPUT:
        raise InvalidRequestError(f"there is one input, {INPUT}", field="inputs")
    tensor = asked.inputs[0]
    if len(tensor.shape) != 2 or tensor.shape[1] != part.features:
        raise InvalidRequestError(f"it is [n, {part.features}]", field=f"{field}.shape")
    check_count(tensor.shape[0], most, f"{field}.shape")
    return in_range(_numbers(tensor, rest, field), part, field)


def _numbers(tensor: InputTensor, rest: bytes, field: str) -> NDArray[np.float64]:
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        if tensor.data is None:
            raise InvalidRequestError("it has no data", field=field)
        if rest:
            raise InvalidRequestError("there are bytes of no input", field="body")
        return from_json(tensor.data, tensor.datatype, tensor.shape, field)
    if tensor.data is not None:
        raise InvalidRequestError("it has data twice", field=field)
    if size != len(rest):
        raise InvalidRequestError(
            f"{len(rest)} bytes come after the JSON", field=f"{field}.parameters.binary_data_size"
        )
    return from_bytes(rest, tensor.datatype, tensor.shape, field)


def _wanted(asked: InferRequest) -> dict[str, bool]:
    """The outputs of the answer, and which of them as bytes. Raises InvalidRequestError."""
    usual = asked.parameters.get("binary_data_output") is True
    if not asked.outputs:
        return {LABEL: usual, PROBABILITIES: usual}
    wanted = {}
    for index, tensor in enumerate(asked.outputs):
        if tensor.name not in (LABEL, PROBABILITIES):
            raise InvalidRequestError(
                f"the outputs are {LABEL} and {PROBABILITIES}", field=f"outputs[{index}].name"
            )
        if tensor.parameters.get("classification"):
            raise InvalidRequestError(
                f"there is no such extension; {LABEL} has the likeliest class",
                field=f"outputs[{index}].parameters.classification",
            )
        wanted[tensor.name] = tensor.parameters.get("binary_data", usual) is True
    return wanted


def _answer(
    asked: InferRequest, served: Served, tensors: dict[str, tuple[NDArray[Any], bool]]
) -> Response:
    outputs, rest = [], b""
    for name, (numbers, as_bytes) in tensors.items():
        datatype = "INT64" if name == LABEL else "FP32"
        tensor = OutputTensor(name=name, datatype=datatype, shape=list(numbers.shape))
        if as_bytes:
            content = numbers.astype(numbers.dtype.newbyteorder("<"), copy=False).tobytes()
            tensor.parameters = {"binary_data_size": len(content)}
            rest += content
        else:
            tensor.data = numbers.ravel().tolist()
        outputs.append(tensor)
    answer = InferResponse(
        model_name=served.name, model_version=served.version, id=asked.id, outputs=outputs
    )
    head = answer.model_dump_json(exclude_none=True).encode()
    if not rest:
        return Response(head, media_type="application/json")
    return Response(
        head + rest, media_type="application/octet-stream", headers={_HEAD: str(len(head))}
    )
