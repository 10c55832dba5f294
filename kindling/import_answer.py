"""What a converter says, which ran its model owner's code: read, bounded, and not believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kindling.errors import KindlingError
from service.errors import ModelInvalidError
from service.package import DESCRIPTOR_FILE, GRAPH_FILE, MAX_DESCRIPTOR_BYTES, parse_descriptor

MOST_GRAPH_BYTES = 2**28
TOLERANCE, ROWS = 1e-4, 1000
_LIMITS = {DESCRIPTOR_FILE: MAX_DESCRIPTOR_BYTES, GRAPH_FILE: MOST_GRAPH_BYTES}
_MOST_LINE = 16_384
_STRICT = ConfigDict(frozen=True, strict=True, extra="forbid")
_Words = Annotated[str, Field(min_length=1, max_length=1000)]


class Figures(BaseModel):
    """What was read, and how well its graph agrees with it on all rows that both were asked."""

    model_config = _STRICT

    flavor: Literal["sklearn", "xgboost", "lightgbm"]
    library: str = Field(pattern=r"^[a-z-]{1,20} [\w.+]{1,40}$")
    model: str = Field(pattern=r"^\w{1,200}$")
    precision: Literal["double", "float"]
    rows: int = Field(ge=ROWS, le=ROWS)
    example_rows: int = Field(ge=0, le=2**31)
    boundary_rows: int = Field(ge=0, le=2**31)
    largest_difference: float = Field(ge=0, le=TOLERANCE)
    disagreements: Literal[0]
    ties: int = Field(ge=0, le=2**31)
    tolerance: float = Field(ge=0, le=TOLERANCE)


class SilentError(KindlingError):
    """There was no answer at all."""


class _Refused(BaseModel):
    model_config = _STRICT

    refused: _Words
    next: _Words


class _Done(BaseModel):
    model_config = _STRICT

    done: Figures
    files: dict[str, int]


@dataclass(frozen=True)
class Answer:
    """A package that was not checked yet but for its descriptor."""

    figures: Figures
    files: Mapping[str, bytes]


def read(stream: IO[bytes], name: str) -> Answer:
    """The answer about the model that is to be called ``name``.

    Raises KindlingError: with the converter's reason if it refuses, and for what is no answer.
    """
    line = stream.readline(_MOST_LINE)
    if not line:
        raise SilentError("the converter ended without a word", next_step="nox -s doctor")
    _raise_refusal(line)
    try:
        said = _Done.model_validate_json(line)
    except ValidationError as error:
        fields = sorted({".".join(map(str, one["loc"])) for one in error.errors()})
        raise _strange(f"its figures are not valid: {', '.join(fields)[:200]}") from None
    if set(said.files) != set(_LIMITS):
        raise _strange("it does not consist of model.json and model.onnx")
    files = {}
    for one, size in said.files.items():
        if not 0 < size <= _LIMITS[one]:
            raise _strange(f"its {one} has {size} bytes; {_LIMITS[one]} are the most")
        files[one] = stream.read(size)
        if len(files[one]) < size:
            raise _strange(f"its {one} ends too soon")
    try:
        descriptor = parse_descriptor(files[DESCRIPTOR_FILE], name)
    except ModelInvalidError as error:
        raise _strange(error.message) from None
    if descriptor.kind != "tabular":
        raise _strange(f"its kind is {descriptor.kind}")
    return Answer(said.done, files)


def _raise_refusal(line: bytes) -> None:
    try:
        said = _Refused.model_validate_json(line)
    except ValidationError:
        return
    # The model's code may have written it: its advice is not to look like ours.
    raise KindlingError(plain(said.refused), next_step=f"the converter advises: {plain(said.next)}")


def plain(text: str) -> str:
    """Text for a terminal: a model's words may be anything."""
    return "".join(letter for letter in text if letter.isprintable())


def _strange(reason: str) -> KindlingError:
    return KindlingError(
        f"the converted package is not taken: {plain(reason)}",
        next_step="log the model again by MLflow's log_model, and import that",
    )
