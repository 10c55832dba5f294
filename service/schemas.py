"""The shapes of requests and answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field, JsonValue, create_model

# Fail fast: a body of a million bad numbers must not become a million error objects.
Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Row = Annotated[list[Number], FailFast()]

# A held-out row: the digit 1.
# fmt: off
EXAMPLE_ROW: list[JsonValue] = [
    0, 0, 0, 0, 14, 13, 1, 0,
    0, 0, 0, 5, 16, 16, 2, 0,
    0, 0, 0, 14, 16, 12, 0, 0,
    0, 1, 10, 16, 16, 12, 0, 0,
    0, 3, 12, 14, 16, 9, 0, 0,
    0, 0, 0, 5, 16, 15, 0, 0,
    0, 0, 0, 4, 16, 14, 0, 0,
    0, 0, 0, 1, 13, 16, 1, 0,
]
# fmt: on


class PredictRequest(BaseModel):
    """Rows of numbers, as many and as large as the model takes.

    The digits are images of 8 x 8 pixels, row by row, each pixel from 0 (white) to 16 (black).
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"instances": [EXAMPLE_ROW]}]}
    )

    instances: list[Row]
    model: str | None = Field(
        default=None, description="Name of a classifier; the first one if left out."
    )


def request_schema(max_batch: int) -> type[PredictRequest]:
    """The request's schema with 1 to ``max_batch`` rows."""
    rows = Annotated[list[Row], Field(min_length=1, max_length=max_batch), FailFast()]
    return create_model(
        "PredictRequest",
        __base__=PredictRequest,
        __doc__=PredictRequest.__doc__,
        instances=(rows, ...),
    )


class Prediction(BaseModel):
    """The likeliest class, and the probability of each class from 0 on."""

    label: int = Field(ge=0)
    probabilities: list[float]


class PredictResponse(BaseModel):
    """One prediction for each row, in the order of the request."""

    model: str
    version: str
    predictions: list[Prediction]
    prediction_id: str | None = Field(
        default=None, description="For POST /feedback; absent where no feedback is taken."
    )


class Problem(BaseModel):
    """What went wrong: a code for programs, a sentence for people, the field at fault if any."""

    code: str
    message: str
    field: str | None = None


class ProblemResponse(BaseModel):
    """Every answer that is not a success has this shape."""

    error: Problem


class Health(BaseModel):
    """The process is alive."""

    status: str = "ok"


class Refused(BaseModel):
    """A version that the registry wants served, and why it is not."""

    version: str
    reason: str


class CanaryState(BaseModel):
    """A version that gets a share of the requests, or why it gets none."""

    version: str
    share: float
    refused: Refused | None = None


class ModelState(BaseModel):
    """A configured model: what is served, what is refused, and why there is nothing newer."""

    name: str
    version: str | None = None
    refused: Refused | None = None
    reason: str | None = None
    canary: CanaryState | None = None


class Readiness(BaseModel):
    """Whether requests should be sent here, and why not; ``model`` is the first of ``models``."""

    status: str
    reason: str | None = None
    model: str
    version: str | None = None
    models: list[ModelState]
    registry: str
