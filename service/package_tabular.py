"""What model.json says of a model for tables: its columns, and what it makes of a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

_STRICT = ConfigDict(frozen=True, strict=True)

MAX_COLUMNS = 1000
MAX_OUTPUTS = 1001
MAX_SIZE = 100_000

ColumnType = Literal["boolean", "integer", "long", "float", "double", "string"]
OutputType = Literal["boolean", "long", "float", "double", "string"]


def _shown(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a name has characters that cannot be shown")
    return text


# Names come from strangers, and are shown on terminals.
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_shown)]
Class = StrictBool | StrictInt | Annotated[float, Field(allow_inf_nan=False)] | StrictStr


class InputPart(BaseModel):
    """One column, with MLflow's name of its type.

    ``optional`` ones may be missing, which the graph takes as NaN. ``graph_name`` is the name of
    the graph's input where that is not the column's own.
    """

    model_config = _STRICT

    name: Name
    type: ColumnType
    optional: bool = False
    graph_name: Name | None = None

    @model_validator(mode="after")
    def _has_a_missing_value(self) -> Self:
        if self.optional and self.type not in ("float", "double"):
            raise ValueError("only floats and doubles have a value for what is missing")
        return self

    @property
    def in_graph(self) -> str:
        """The name of the graph's input for this column."""
        return self.graph_name or self.name


class OutputPart(BaseModel):
    """One output of the graph, ``(n, size)``; ``classes`` say what its columns are probable of."""

    model_config = _STRICT

    name: Name
    type: OutputType
    size: int = Field(ge=1, le=MAX_SIZE)
    classes: tuple[Class, ...] | None = Field(default=None, max_length=MAX_SIZE)

    @model_validator(mode="after")
    def _a_class_for_each_column(self) -> Self:
        if self.classes is None:
            return self
        if len(self.classes) != self.size:
            raise ValueError("there is not a class for each column")
        if self.type not in ("float", "double"):
            raise ValueError("probabilities are numbers")
        return self


class TabularPart(BaseModel):
    """It takes a table with these columns; the first output is what its owner's predict gives.

    ``graph_input``: one input of all columns, or one for each. ``tensor``: its owner gave it
    matrices, whose columns have no names but their numbers.
    """

    model_config = _STRICT

    inputs: tuple[InputPart, ...] = Field(min_length=1, max_length=MAX_COLUMNS)
    outputs: tuple[OutputPart, ...] = Field(min_length=1, max_length=MAX_OUTPUTS)
    graph_input: Literal["matrix", "columns"]
    tensor: bool = False

    @model_validator(mode="after")
    def _names_are_used_once(self) -> Self:
        _once(column.name for column in self.inputs)
        _once(output.name for output in self.outputs)
        if self.graph_input == "columns":
            _once(column.in_graph for column in self.inputs)
        elif any(column.type == "string" for column in self.inputs):
            raise ValueError("a matrix has no strings")
        if self.tensor and [c.name for c in self.inputs] != [*map(str, range(len(self.inputs)))]:
            raise ValueError("the columns of a matrix are called 0, 1 and so on")
        return self


def _once(names: Iterable[str]) -> None:
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{name} is there twice")
