"""POST /invocations, as MLflow's own model server has it, over the classifiers that are served."""

from __future__ import annotations

from typing import Annotated, Any, Self

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, FailFast, Field, field_validator, model_validator

from service.body import json_body, parse_body, read_body
from service.classify import REFUSALS, classify, part_of
from service.direct import Endpoint
from service.errors import InvalidRequestError
from service.models import Models
from service.observed import answered_by
from service.predictor import Predictor
from service.rows import check_count, to_rows
from service.schemas import EXAMPLE_ROW, Number, ProblemResponse, Row
from service.settings import Settings

_Rows = Annotated[list[Row], FailFast()]
_INPUT = "instances"
_STRICT = ConfigDict(extra="forbid")


class DataFrameSplit(BaseModel):
    """A pandas DataFrame as `orient="split"` writes it. Columns are taken in the order given."""

    model_config = _STRICT

    columns: list[str | int] | None = None
    index: list[Any] | None = None
    data: _Rows


class Params(BaseModel):
    """What MLflow calls parameters of inference."""

    model_config = _STRICT

    model: str | None = Field(
        default=None, description="Name of a classifier; the first one if left out."
    )


class Invocation(BaseModel):
    """Rows in one of the forms that MLflow's model server takes."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"dataframe_split": {"data": [EXAMPLE_ROW]}}]},
    )

    dataframe_split: DataFrameSplit | None = None
    dataframe_records: Annotated[list[dict[str, Number]], FailFast()] = Field(default_factory=list)
    instances: _Rows = Field(default_factory=list)
    inputs: _Rows = Field(default_factory=list)
    params: Params = Field(default_factory=Params)

    @field_validator("inputs", mode="before")
    @classmethod
    def _named_tensor(cls, value: object) -> object:
        # Tensors by their names, of which a classifier has one.
        return value[_INPUT] if isinstance(value, dict) and value.keys() == {_INPUT} else value

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if len(self._forms()) != 1:
            raise ValueError(f"there is one of {', '.join(self.forms())}")
        return self

    @classmethod
    def forms(cls) -> tuple[str, ...]:
        """The fields of which there is one."""
        return "dataframe_split", "dataframe_records", "instances", "inputs"

    def _forms(self) -> list[str]:
        return [form for form in self.forms() if form in self.model_fields_set]

    def rows(self) -> tuple[list[list[float]], str]:
        """The rows, and the field that they were in. Raises InvalidRequestError."""
        (form,) = self._forms()
        if self.dataframe_split:
            return self.dataframe_split.data, f"{form}.data"
        if form == "dataframe_records":
            return _of_records(self.dataframe_records, form), form
        return self.instances or self.inputs, form


class Predictions(BaseModel):
    """The likeliest class of each row, in the order of the request."""

    predictions: list[int]


def add_invocations(
    app: FastAPI, settings: Settings, models: Models, predictor: Predictor
) -> Endpoint:
    """Serve /invocations, and /ping beside it; returns the endpoint of POST /invocations."""

    @app.get("/ping", include_in_schema=False)
    async def ping() -> Response:
        return Response("\n", media_type="text/plain")

    @app.post(
        "/invocations",
        response_model=Predictions,
        responses={status: {"model": ProblemResponse} for status in REFUSALS},
        openapi_extra=json_body(Invocation.model_json_schema()),
    )
    async def invocations(request: Request) -> Response:
        """Classify rows, in the forms and with the answer of MLflow's model server."""
        with predictor.admit():
            body = await read_body(request, settings.max_body_bytes, settings.body_seconds)
            asked = parse_body(body, Invocation)
            served = models.get(asked.params.model, "classifier")
            answered_by(request.scope, served)
            found, field = asked.rows()
            check_count(len(found), settings.max_batch, field)
            rows = to_rows(found, part_of(served), field)
            classified = await classify(served, rows, predictor)
        answer = Predictions(predictions=classified.labels.tolist())
        return Response(answer.model_dump_json(), media_type="application/json")

    return invocations


def _of_records(records: list[dict[str, float]], field: str) -> list[list[float]]:
    """Rows of the columns of the first record, in its order. Raises InvalidRequestError."""
    if not records:
        return []
    columns = list(records[0])
    for index, record in enumerate(records):
        if record.keys() != records[0].keys():
            raise InvalidRequestError(
                "a record has other columns than the first", field=f"{field}[{index}]"
            )
    return [[record[column] for column in columns] for record in records]
