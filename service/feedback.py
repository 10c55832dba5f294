"""POST /feedback: labels that become known after a prediction."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from typing import Annotated

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, FailFast, Field

from service.api_groups import Group
from service.body import json_body, parse_body
from service.body_reader import BodyReader
from service.errors import FeedbackNotAllowedError, FeedbackOffError, InvalidRequestError
from service.metrics import Metrics
from service.prediction_ids import LONGEST, Predicted, PredictionIds
from service.predictor import Predictor
from service.schemas import ProblemResponse

_REFUSALS = (401, 404, 408, 413, 415, 422, 503)
_MAX_BODY_BYTES = 65_536
# Ids that are remembered so that none counts twice; the oldest are forgotten.
_REMEMBERED = 20_000

Label = Annotated[int, Field(strict=True, ge=0)]


class FeedbackRequest(BaseModel):
    """The true labels of the rows of one prediction, in their order; null where not known."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"id": "the answer's prediction_id", "labels": [1]}]},
    )

    id: str = Field(max_length=LONGEST, description="The `prediction_id` of the answer.")
    labels: Annotated[list[Label | None], Field(min_length=1, max_length=4096), FailFast()]


class FeedbackResponse(BaseModel):
    """How many rows were right and wrong.

    ``counted`` is false for an id that this replica has had before, and counts once, and for a
    version that is no longer among the last ones and is counted under none.
    """

    model: str
    version: str
    right: int
    wrong: int
    counted: bool


class _Seen:
    """The last ids that came."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def first(self, signature: bytes) -> bool:
        """Whether this one comes for the first time."""
        if signature in self._seen:
            return False
        self._seen[signature] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return True


def add_feedback(
    app: FastAPI,
    predictor: Predictor,
    bodies: BodyReader,
    ids: PredictionIds | None,
    metrics: Metrics,
    *,
    token: str = "",
) -> None:
    """Take labels for predictions that ``ids`` gave their ids to.

    With a ``token``, from those alone who have it.
    """
    expected = token.encode()
    seen = _Seen()

    @app.post(
        "/feedback",
        responses={status: {"model": ProblemResponse} for status in _REFUSALS},
        openapi_extra=json_body(FeedbackRequest.model_json_schema()),
        tags=[Group.FEEDBACK],
        summary="Send the true labels of a prediction",
    )
    async def feedback(request: Request) -> FeedbackResponse:
        """Say what was right, once it is known: it shows in the metric `model_accuracy`.

        Any replica takes it, for some days. An id counts once for each replica, until that starts
        anew. Where the service has a token for it: `Authorization: Bearer TOKEN`.
        """
        if ids is None:
            raise FeedbackOffError("this service takes no feedback: it has no feedback_key")
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        is_known = scheme.lower() == "bearer" and hmac.compare_digest(
            sent.strip().encode("latin-1"), expected
        )
        if expected and not is_known:
            raise FeedbackNotAllowedError("feedback needs the token of this service")
        body = await bodies.read(request, max_bytes=_MAX_BODY_BYTES)
        with predictor.admit():
            asked = parse_body(body, FeedbackRequest)
            predicted = ids.read(asked.id)
            outcomes = _judge(predicted, asked.labels)
            counted = seen.first(predicted.signature) and metrics.quality.judged(
                predicted.model, predicted.version, outcomes
            )
        return FeedbackResponse(
            model=predicted.model,
            version=predicted.version,
            right=sum(outcomes),
            wrong=len(outcomes) - sum(outcomes),
            counted=counted,
        )


def _judge(predicted: Predicted, labels: list[int | None]) -> list[bool]:
    """Which rows that have a label are right. Raises InvalidRequestError."""
    if len(labels) != len(predicted.labels):
        raise InvalidRequestError(
            f"the prediction has {len(predicted.labels)} rows", field="labels"
        )
    for index, label in enumerate(labels):
        if label is not None and label >= predicted.classes:
            raise InvalidRequestError(
                f"a label is below {predicted.classes}", field=f"labels[{index}]"
            )
    return [
        label == was
        for label, was in zip(labels, predicted.labels, strict=True)
        if label is not None
    ]
