"""The shapes of requests and answers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    JsonValue,
    WithJsonSchema,
    create_model,
)

# Fail fast: a body of a million bad numbers must not become a million error objects.
Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Row = Annotated[list[Number], FailFast()]
# What a table's rows have is looked at once it is known which columns there are.
TableRow = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [{"type": "array"}, {"type": "object"}],
            "description": "Values in the order of the columns, or by their names.",
        }
    ),
]

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


class Asking(BaseModel):
    """A request to a model that takes rows."""

    def wanted(self) -> str | None:
        """The name of the model, if one is named."""
        raise NotImplementedError


class Named(Asking):
    """What every request says, whatever its rows are."""

    model: str | None = Field(
        default=None, description="Name of a model; the first that takes rows if left out."
    )

    def wanted(self) -> str | None:
        """The name of the model."""
        return self.model


class PredictRequest(Named):
    """Rows of numbers, as many and as large as the model takes.

    The digits are images of 8 x 8 pixels, row by row, each pixel from 0 (white) to 16 (black).
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"instances": [EXAMPLE_ROW]}]}
    )

    instances: list[Row]


class TableRequest(Named):
    """Rows of a table, with the columns that the model takes."""

    model_config = ConfigDict(extra="forbid")

    instances: list[TableRow]


def request_schemas(max_batch: int) -> tuple[type[PredictRequest], type[TableRequest]]:
    """The schemas of requests with 1 to ``max_batch`` rows, of numbers and of anything."""
    count = Field(min_length=1, max_length=max_batch)
    numbers = create_model(
        "PredictRequest",
        __base__=PredictRequest,
        __doc__=PredictRequest.__doc__,
        instances=(Annotated[list[Row], count, FailFast()], ...),
    )
    table = create_model(
        "TableRequest",
        __base__=TableRequest,
        __doc__=TableRequest.__doc__,
        instances=(Annotated[list[TableRow], count], ...),
    )
    return numbers, table


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


Value = bool | int | float | str


class TableResponse(BaseModel):
    """What a model for tables makes of each row: its outputs by their names."""

    model: str
    version: str
    predictions: list[dict[str, Value | list[Value]]]
    classes: dict[str, list[Value]] | None = Field(
        default=None,
        description="What the numbers of an output are probabilities of, if not of 0, 1, 2 and"
        " so on; absent where there is no such output.",
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
    """A model that is followed: what is served, what is refused, and why there is nothing newer."""

    name: str
    version: str | None = None
    refused: Refused | None = None
    reason: str | None = None
    canary: CanaryState | None = None


class Readiness(BaseModel):
    """Whether requests should be sent here, and why not; ``model`` is the first of ``models``.

    Of these the configured ones come first, then at most ``others`` other ones.
    """

    status: str
    reason: str | None = None
    model: str
    version: str | None = None
    models: list[ModelState]
    others: int = 0
    registry: str
