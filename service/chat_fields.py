"""Kinds of fields in a chat request: those without effect, and those that are not offered."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# To JSON Schema, which describes these requests, 2.0 is an integer.
Whole = BeforeValidator(_whole)


def _offered(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except ValidationError:
        raise PydanticCustomError(
            "not_offered", "the service does not offer this: leave the field out"
        ) from None


def _refuse_true(value: bool) -> bool:
    if value:
        raise ValueError
    return value


# Fields that change the answer where it comes from: taken only with the value that changes nothing.
OnlyNeutral = WrapValidator(_offered)
NotOffered = Annotated[None, OnlyNeutral, Field(description="Not offered.")]
NoItems = Annotated[list[Any], Field(max_length=0, description="Not offered."), OnlyNeutral]
OnlyFalse = Annotated[
    # Not a literal: to Python, 0 is one too.
    bool, Field(json_schema_extra={"const": False}), AfterValidator(_refuse_true), OnlyNeutral
]
OnlyText = Annotated[list[Literal["text"]], OnlyNeutral]
OnlyZero = Annotated[float, Field(ge=0, le=0, description="Only 0."), OnlyNeutral]
IGNORED = Field(default=None, description="Taken, and without effect.")
