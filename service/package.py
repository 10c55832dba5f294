"""What a model's package says of itself: model.json, and the files that belong to each kind."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from service.errors import ModelInvalidError
from service.package_tabular import TabularPart

Kind = Literal["classifier", "text-generator", "tabular"]

DESCRIPTOR_FILE = "model.json"
GRAPH_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.model"
REFERENCE_FILE = "reference.json"
FILES: dict[Kind, frozenset[str]] = {
    "classifier": frozenset({DESCRIPTOR_FILE, GRAPH_FILE}),
    "text-generator": frozenset({DESCRIPTOR_FILE, GRAPH_FILE, TOKENIZER_FILE}),
    "tabular": frozenset({DESCRIPTOR_FILE, GRAPH_FILE}),
}
# A package may have them and need not.
OPTIONAL_FILES = frozenset({REFERENCE_FILE})
# A table of a thousand columns, or some ten thousand classes.
MAX_DESCRIPTOR_BYTES = 262_144
MAX_REFERENCE_BYTES = 1_048_576

# Names become folders, headers and labels.
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
VERSION_PATTERN = "[1-9][0-9]{0,17}"
# Not a model's name: its experiment is where the service keeps its traces.
TRACE_EXPERIMENT = "traces"

_STRICT = ConfigDict(frozen=True, strict=True)


class ClassifierPart(BaseModel):
    """It takes (n, features) numbers in minimum..maximum and knows classes 0..classes-1."""

    model_config = _STRICT

    features: int = Field(ge=1, le=1_000_000)
    minimum: float = Field(allow_inf_nan=False)
    maximum: float = Field(allow_inf_nan=False)
    classes: int = Field(ge=2, le=100_000)


class TextPart(BaseModel):
    """It knows ``vocabulary`` tokens and looks at the last ``context`` of them."""

    model_config = _STRICT

    vocabulary: int = Field(ge=3, le=1_000_000)
    context: int = Field(ge=1, le=65_536)


class Descriptor(BaseModel):
    """model.json; keys that it does not know are left alone.

    A table's model is somebody else's: nobody here knows its accuracy.
    """

    model_config = _STRICT

    format: Literal[1]
    name: str = Field(pattern=f"^{NAME_PATTERN}$")
    kind: Kind
    accuracy: float | None = Field(
        default=None, ge=0, le=1, allow_inf_nan=False, validate_default=True
    )
    classifier: ClassifierPart | None = None
    text: TextPart | None = None
    tabular: TabularPart | None = None

    @field_validator("accuracy")
    @classmethod
    def _measured(cls, accuracy: float | None, known: ValidationInfo) -> float | None:
        if (accuracy is None) != (known.data.get("kind") == "tabular"):
            raise ValueError("every model says its accuracy, but for a table's")
        return accuracy

    @model_validator(mode="after")
    def _one_part(self) -> Self:
        parts = (self.classifier, self.text, self.tabular)
        kinds = ("classifier", "text-generator", "tabular")
        if [part is not None for part in parts] != [self.kind == kind for kind in kinds]:
            raise ValueError("the part and the kind do not match")
        return self


def parse_descriptor(content: bytes, name: str) -> Descriptor:
    """The descriptor in ``content``. Raises ModelInvalidError, also if it is of another model."""
    try:
        descriptor = Descriptor.model_validate_json(content)
    except ValidationError as error:
        fields = sorted({".".join(map(str, item["loc"])) or "JSON" for item in error.errors()})
        raise ModelInvalidError(
            f"{DESCRIPTOR_FILE} is not valid: {', '.join(fields)[:200]}"
        ) from None
    if descriptor.name != name:
        raise ModelInvalidError(f"{DESCRIPTOR_FILE} is of model {descriptor.name}, not {name}")
    return descriptor


def read_file(folder: Path, name: str) -> bytes:
    """One file of the package in ``folder``. Raises ModelInvalidError."""
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise ModelInvalidError(f"{name} cannot be read: {error.strerror}") from None
