"""The shapes of requests and answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field, JsonValue, create_model

PIXELS = 64
CLASSES = 10

# Fail fast: a body of a million bad numbers must not become a million error objects.
Pixel = Annotated[float, Field(ge=0, le=16, allow_inf_nan=False, strict=True)]
Row = Annotated[list[Pixel], Field(min_length=PIXELS, max_length=PIXELS), FailFast()]

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
    """Images of 8 x 8 pixels, row by row, each pixel from 0 (white) to 16 (black)."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"instances": [EXAMPLE_ROW]}]}
    )

    instances: list[Row]


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
    """The likeliest digit, and the probability of each digit from 0 to 9."""

    label: int = Field(ge=0, lt=CLASSES)
    probabilities: list[float] = Field(min_length=CLASSES, max_length=CLASSES)


class PredictResponse(BaseModel):
    """One prediction for each row, in the order of the request."""

    model: str
    version: str
    predictions: list[Prediction]


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


class Readiness(BaseModel):
    """Whether requests should be sent here, and why not."""

    status: str
    reason: str | None = None
    model: str
    version: str | None = None
