"""The Open Inference Protocol, version 2, over the models that take rows."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from numpy.typing import NDArray
from starlette.responses import JSONResponse

from service.api_groups import Group
from service.asked import ROWS
from service.body import json_body, parse_body, schema_of
from service.body_reader import BodyReader
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
from service.tabulate import tabulate
from service.v2_schemas import (
    PREFIX,
    InferRequest,
    InferResponse,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
    TensorMetadata,
    V2Problem,
)
from service.v2_tables import inputs_of, outputs_of, table_of
from service.v2_tensors import HEAD, answer, contents, numbers, split, wanted_outputs

INPUT, LABEL, PROBABILITIES = "instances", "label", "probabilities"
_REFUSALS: dict[int | str, dict[str, Any]] = {status: {"model": V2Problem} for status in REFUSALS}
_ABSENT: dict[int | str, dict[str, Any]] = {status: {"model": V2Problem} for status in (404, 503)}
_PATHS = (f"{PREFIX}/models/{{model}}", f"{PREFIX}/models/{{model}}/versions/{{version}}")


def add_v2(
    app: FastAPI,
    settings: Settings,
    models: Models,
    predictor: Predictor,
    bodies: BodyReader,
    lifecycle: Lifecycle,
) -> None:
    """Serve /v2."""

    @app.get(PREFIX, tags=[Group.V2], summary="Get server metadata")
    async def server_metadata() -> ServerMetadata:
        """What serves, and which extensions of the protocol it speaks."""
        return ServerMetadata(version=app.version, extensions=["binary_tensor_data"])

    @app.get(f"{PREFIX}/health/live", tags=[Group.V2], summary="Check server liveness")
    async def live() -> ServerLive:
        """Whether the process is alive."""
        return ServerLive()

    @app.get(
        f"{PREFIX}/health/ready",
        responses={503: {"model": ServerReady}},
        tags=[Group.V2],
        summary="Check server readiness",
    )
    async def ready() -> Response:
        """Whether requests should be sent here."""
        is_ready = lifecycle.reason_not_ready() is None
        content = ServerReady(ready=is_ready).model_dump()
        return JSONResponse(content, status_code=200 if is_ready else 503)

    async def metadata(model: str, version: str | None = None) -> ModelMetadata:
        """What a model takes and gives."""
        served = _described(models, model, version)
        if (table := served.descriptor.tabular) is not None:
            inputs, outputs = inputs_of(table), outputs_of(table)
        else:
            part = part_of(served)
            inputs = [TensorMetadata(name=INPUT, datatype="FP32", shape=[-1, part.features])]
            outputs = [
                TensorMetadata(name=LABEL, datatype="INT64", shape=[-1]),
                TensorMetadata(name=PROBABILITIES, datatype="FP32", shape=[-1, part.classes]),
            ]
        return ModelMetadata(
            name=served.name,
            versions=_versions(models, served) if version is None else [served.version],
            platform="onnx",
            inputs=inputs,
            outputs=outputs,
        )

    async def model_ready(model: str, version: str | None = None) -> ModelReady:
        """Whether a model that takes rows is served."""
        return ModelReady(name=_described(models, model, version).name)

    async def infer(request: Request, model: str, version: str | None = None) -> Response:
        """Classify rows, which come as a tensor of numbers: `instances`; or ask about a table."""
        body = await bodies.read(request)
        with predictor.admit():
            served = _find(models, model, version)
            answered_by(request.scope, served)
            head, rest = split(body, request.headers.get(HEAD))
            asked = parse_body(head, InferRequest)
            found: dict[str, NDArray[Any]]
            if (part := served.descriptor.tabular) is not None:
                names = [output.name for output in part.outputs]
                table = table_of(asked, rest, part, settings.max_batch)
                wanted = wanted_outputs(asked, names)
                outputs = await tabulate(served, table, predictor)
                found = dict(zip(names, outputs, strict=True))
            else:
                rows = _rows(asked, rest, part_of(served), settings.max_batch)
                wanted = wanted_outputs(asked, (LABEL, PROBABILITIES))
                classified = await classify(served, rows, predictor)
                found = {LABEL: classified.labels, PROBABILITIES: classified.probabilities}
        return answer(asked, served, {name: (found[name], wanted[name]) for name in wanted})

    described = json_body(schema_of(InferRequest))
    for number, path in enumerate(_PATHS):
        suffix, which = ("_of_version", "a version of a model") if number else ("", "a model")
        app.post(
            f"{path}/infer",
            response_model=InferResponse,
            responses=_REFUSALS,
            openapi_extra=described,
            operation_id=f"v2_infer{suffix}",
            tags=[Group.V2],
            summary=f"Infer with {which}",
        )(infer)
        app.get(
            path,
            responses=_ABSENT,
            operation_id=f"v2_metadata{suffix}",
            tags=[Group.V2],
            summary=f"Get metadata of {which}",
        )(metadata)
        app.get(
            f"{path}/ready",
            responses=_ABSENT,
            operation_id=f"v2_ready{suffix}",
            tags=[Group.V2],
            summary=f"Check readiness of {which}",
        )(model_ready)


def _find(models: Models, name: str, version: str | None) -> Served:
    """The model, in that version if one is named. Raises ModelNotFoundError, NotReadyError."""
    return models.get(name, *ROWS, version=version)


def _described(models: Models, name: str, version: str | None) -> Served:
    """The same for who asks about a model: without a version its champion, not its canary."""
    return models.champion(name, *ROWS) if version is None else _find(models, name, version)


def _versions(models: Models, champion: Served) -> list[str]:
    canary = models.canary(champion.name)
    return [champion.version, *([canary.served.version] if canary else [])]


def _rows(asked: InferRequest, rest: bytes, part: ClassifierPart, most: int) -> Rows:
    """The rows to classify. Raises InvalidRequestError naming what is wrong with them."""
    field = "inputs[0]"
    if len(asked.inputs) > 1 or asked.inputs[0].name != INPUT:
        raise InvalidRequestError(f"there is one input, {INPUT}", field="inputs")
    tensor = asked.inputs[0]
    if len(tensor.shape) != 2 or tensor.shape[1] != part.features:
        raise InvalidRequestError(f"it is [n, {part.features}]", field=f"{field}.shape")
    check_count(tensor.shape[0], most, f"{field}.shape")
    (content,) = contents(asked.inputs, rest)
    return in_range(numbers(tensor, content, field), part, field)
