"""POST /predict: rows in, classes out."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from pydantic_core import to_json

from service.body import json_body, parse_body, read_body
from service.classify import REFUSALS, classify, part_of
from service.direct import Endpoint
from service.models import Models
from service.observed import answered_by
from service.prediction_ids import PredictionIds
from service.predictor import Predictor
from service.rows import to_rows
from service.schemas import PredictResponse, ProblemResponse, request_schema
from service.settings import Settings


def add_predict(
    app: FastAPI,
    settings: Settings,
    models: Models,
    predictor: Predictor,
    ids: PredictionIds | None,
) -> Endpoint:
    """Let classifiers be asked; returns the endpoint of POST /predict."""
    schema = request_schema(settings.max_batch)

    @app.post(
        "/predict",
        response_model=PredictResponse,
        responses={status: {"model": ProblemResponse} for status in REFUSALS},
        openapi_extra=json_body(schema.model_json_schema()),
    )
    async def predict(request: Request) -> Response:
        """Classify rows, such as images of handwritten digits."""
        with predictor.admit():
            body = await read_body(request, settings.max_body_bytes, settings.body_seconds)
            asked = parse_body(body, schema)
            served = models.get(asked.model, "classifier")
            answered_by(request.scope, served)
            part = part_of(served)
            rows = to_rows(asked.instances, part)
            found = await classify(served, rows, predictor)
            labels = found.labels.tolist()
            answer: dict[str, Any] = {
                "model": served.name,
                "version": served.version,
                "predictions": [
                    {"label": label, "probabilities": row}
                    for label, row in zip(labels, found.rounded, strict=True)
                ],
            }
            if ids:
                name, version = served.name, served.version
                answer["prediction_id"] = ids.make(name, version, labels, part.classes)
        # Of the documented shape: as a PredictResponse every number would be validated again.
        return Response(to_json(answer), media_type="application/json")

    return predict
