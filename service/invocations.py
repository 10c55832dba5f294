"""POST /invocations, as MLflow's own model server has it, over the models that take rows."""

from __future__ import annotations

from typing import Annotated, Any, Self

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, FailFast, Field, field_validator, model_validator
from pydantic_core import to_json

from service.api_groups import Group
from service.asked import parse_rows
from service.body import json_bodies, schema_of
from service.body_reader import BodyReader
from service.classify import REFUSALS, classify, part_of
from service.direct import Endpoint
from service.errors import InvalidRequestError
from service.invocations_tables import NamedInParams, Params, TableInvocation, one_form
from service.models import Models
from service.predictor import Predictor
from service.rows import check_count, to_rows
from service.schemas import EXAMPLE_ROW, Asking, Number, ProblemResponse, Row, Value
from service.settings import Settings
from service.tables import to_table
from service.tabulate import part_of as table_of
from service.tabulate import tabulate

_Rows = Annotated[list[Row], FailFast()]
_INPUT = "instances"
_STRICT = ConfigDict(extra="forbid")


class DataFrameSplit(BaseModel):
    """A pandas DataFrame as `orient="split"` writes it. Columns are taken in the order given."""

    model_config = _STRICT

    columns: list[str | int] | None = None
    index: list[Any] | None = None
    data: _Rows


class Invocation(Asking):
    """Rows of numbers in one of the forms that MLflow's model server takes."""

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
        one_form(self)
        return self

    def wanted(self) -> str | None:
        """The name of the model."""
        return self.params.model

    def rows(self) -> tuple[list[list[float]], str]:
        """The rows, and the field that they were in. Raises InvalidRequestError."""
        form = one_form(self)
        if self.dataframe_split:
            return self.dataframe_split.data, f"{form}.data"
        if form == "dataframe_records":
            return _of_records(self.dataframe_records, form), form
        return self.instances or self.inputs, form


class Predictions(BaseModel):
    """The likeliest class of each row, or what a table's owner predicts, in the same order."""

    predictions: list[Value] | list[list[Value]]


def add_invocations(
    app: FastAPI, settings: Settings, models: Models, predictor: Predictor, bodies: BodyReader
) -> Endpoint:
    """Serve /invocations, and /ping beside it; returns the endpoint of POST /invocations."""

    @app.get("/ping", include_in_schema=False)
    async def ping() -> Response:
        return Response("\n", media_type="text/plain")

    @app.post(
        "/invocations",
        response_model=Predictions,
        responses={status: {"model": ProblemResponse} for status in REFUSALS},
        openapi_extra=json_bodies(schema_of(Invocation), schema_of(TableInvocation)),
        tags=[Group.PREDICT],
        summary="Predict, as MLflow's model server does",
    )
    async def invocations(request: Request) -> Response:
        """Predict from rows, in the forms and with the answer of MLflow's model server."""
        body = await bodies.read(request)
        with predictor.admit():
            served, asked = parse_rows(
                request.scope, models, body, Invocation, TableInvocation, NamedInParams
            )
            if isinstance(asked, TableInvocation):
                table = table_of(served)
                given, field = asked.rows(table)
                check_count(len(given), settings.max_batch, field)
                outputs = await tabulate(served, to_table(given, table, field), predictor)
                predictions = outputs[0].tolist()
            else:
                found, field = asked.rows()
                check_count(len(found), settings.max_batch, field)
                rows = to_rows(found, part_of(served), field)
                predictions = (await classify(served, rows, predictor)).labels.tolist()
        # Of the documented shape: it would be validated again, number by number.
        return Response(to_json({"predictions": predictions}), media_type="application/json")

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
