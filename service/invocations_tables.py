"""MLflow's formats for a table: whatever its columns are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from service.errors import InvalidRequestError
from service.package_tabular import TabularPart
from service.schemas import Asking, Named

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
# Looked at once it is known which columns there are.
_Rows = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"anyOf": [{"type": "array"}, {"type": "object"}]}},
                {"type": "object", "additionalProperties": {"type": "array"}},
            ]
        }
    ),
]
_STRICT = ConfigDict(extra="forbid")


class Params(Named):
    """What MLflow calls parameters of inference."""

    model_config = _STRICT


class NamedInParams(Asking):
    """What every request says, whatever its rows are."""

    params: Named = Field(default_factory=Named)

    def wanted(self) -> str | None:
        """The name of the model."""
        return self.params.model


class TableSplit(BaseModel):
    """A pandas DataFrame as `orient="split"` writes it; without columns, they are the model's."""

    model_config = _STRICT

    columns: list[str | int] | None = None
    index: list[Any] | None = None
    data: list[list[Any]]


class TableInvocation(Asking):
    """A table in one of the forms that MLflow's model server takes."""

    model_config = _STRICT

    dataframe_split: TableSplit | None = None
    dataframe_records: list[dict[str, Any]] = Field(default_factory=list)
    instances: _Rows = None
    inputs: _Rows = None
    params: Params = Field(default_factory=Params)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        one_form(self)
        return self

    def wanted(self) -> str | None:
        """The name of the model."""
        return self.params.model

    def rows(self, part: TabularPart) -> tuple[Sequence[Any], str]:
        """The rows as ``to_table`` takes them, and the field that they were in.

        Raises InvalidRequestError.
        """
        form = one_form(self)
        if self.dataframe_split:
            return _of_split(self.dataframe_split, part, form), f"{form}.data"
        given = getattr(self, form)
        if isinstance(given, dict):
            given = _of_columns(given, part, form)
        if not isinstance(given, list):
            raise InvalidRequestError("it is a list of rows", field=form)
        return given, form


def one_form(asked: BaseModel) -> str:
    """The field with the rows. Raises ValueError unless there is one."""
    found = [form for form in FORMS if form in asked.model_fields_set]
    if len(found) != 1:
        raise ValueError(f"there is one of {', '.join(FORMS)}")
    return found[0]


def _of_split(split: TableSplit, part: TabularPart, field: str) -> Sequence[Any]:
    # A matrix has no names of its own; those that pandas gives its columns say nothing.
    if split.columns is None or part.tensor:
        return split.data
    names = [str(name) for name in split.columns]
    if len(set(names)) < len(names):
        raise InvalidRequestError("a column is there twice", field=f"{field}.columns")
    for index, row in enumerate(split.data):
        if len(row) != len(names):
            raise InvalidRequestError(
                f"a row has {len(names)} values", field=f"{field}.data[{index}]"
            )
    return [dict(zip(names, row, strict=True)) for row in split.data]


def _of_columns(columns: dict[str, Any], part: TabularPart, field: str) -> Any:
    """Rows of columns by their names, or those of a matrix, whatever its name is."""
    if part.tensor and len(columns) == 1:
        return next(iter(columns.values()))
    for name, values in columns.items():
        if not isinstance(values, list):
            raise InvalidRequestError("a column is a list", field=f"{field}.{name}"[:200])
    lengths = {name: len(values) for name, values in columns.items()}
    for name, length in lengths.items():
        if length != max(lengths.values()):
            raise InvalidRequestError(
                f"it has {length} values, another column {max(lengths.values())}",
                field=f"{field}.{name}"[:200],
            )
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
