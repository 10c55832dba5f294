"""POST /predict: rows in, classes or a table's outputs out."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from pydantic_core import to_json

from service.api_groups import Group
from service.asked import parse_rows
from service.body import json_bodies, schema_of
from service.body_reader import BodyReader
from service.classify import REFUSALS, classify, part_of
from service.direct import Endpoint
from service.models import Models
from service.prediction_ids import PredictionIds
from service.predictor import Predictor
from service.rows import to_rows
from service.schemas import (
    Named,
    PredictResponse,
    ProblemResponse,
    TableRequest,
    TableResponse,
    request_schemas,
)
from service.settings import Settings
from service.tables import to_table
from service.tabulate import classes, predictions, tabulate
from service.tabulate import part_of as table_of


def add_predict(
    app: FastAPI,
    settings: Settings,
    models: Models,
    predictor: Predictor,
    bodies: BodyReader,
    ids: PredictionIds | None,
) -> Endpoint:
    """Let models that take rows be asked; returns the endpoint of POST /predict."""
    schemas = request_schemas(settings.max_batch)

    @app.post(
        "/predict",
        response_model=PredictResponse | TableResponse,
        responses={status: {"model": ProblemResponse} for status in REFUSALS},
        openapi_extra=json_bodies(*map(schema_of, schemas)),
        tags=[Group.PREDICT],
        summary="Predict from rows",
    )
    async def predict(request: Request) -> Response:
        """Classify rows, such as images of handwritten digits, or ask a model for tables."""
        body = await bodies.read(request)
        with predictor.admit():
            served, asked = parse_rows(request.scope, models, body, *schemas, Named)
            answer: dict[str, Any] = {"model": served.name, "version": served.version}
            if isinstance(asked, TableRequest):
                table = table_of(served)
                outputs = await tabulate(served, to_table(asked.instances, table), predictor)
                answer["predictions"] = predictions(table, outputs)
                if named := classes(table):
                    answer["classes"] = named
            else:
                part = part_of(served)
                found = await classify(served, to_rows(asked.instances, part), predictor)
                labels = found.labels.tolist()
                answer["predictions"] = [
                    {"label": label, "probabilities": row}
                    for label, row in zip(labels, found.rounded, strict=True)
                ]
                if ids:
                    name, version = served.name, served.version
                    answer["prediction_id"] = ids.make(name, version, labels, part.classes)
        # Of the documented shape: as a PredictResponse every number would be validated again.
        return Response(to_json(answer), media_type="application/json")

    return predict
