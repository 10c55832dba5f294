"""POST /predict: rows in, classes out."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from service.body import json_body, parse_body, read_body
from service.classify import REFUSALS, classify, part_of
from service.models import Models, Served
from service.observed import answered_by
from service.prediction_ids import PredictionIds
from service.predictor import Predictor
from service.rows import to_rows
from service.schemas import Prediction, PredictResponse, ProblemResponse, request_schema
from service.settings import Settings


def add_predict(
    app: FastAPI,
    settings: Settings,
    models: Models,
    predictor: Predictor,
    ids: PredictionIds | None,
) -> None:
    """Let classifiers be asked."""
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
            labels, probabilities = await classify(served, rows, predictor)
            found = labels.tolist()
            answer = _answer(served, found, probabilities.astype(float).round(6).tolist())
            if ids:
                answer.prediction_id = ids.make(served.name, served.version, found, part.classes)
        # Already of the documented type: FastAPI would validate every number again.
        return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")


def _answer(served: Served, labels: list[int], probabilities: list[list[float]]) -> PredictResponse:
    return PredictResponse(
        model=served.name,
        version=served.version,
        predictions=[
            Prediction(label=label, probabilities=row)
            for label, row in zip(labels, probabilities, strict=True)
        ],
    )
