"""reference.json: how a model's training data was distributed, for comparing what comes with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError, model_validator

from service.errors import ModelInvalidError
from service.package import MAX_REFERENCE_BYTES, REFERENCE_FILE, Descriptor

MOST_BINS = 32
PREDICTION = "prediction"
TOKENS = "tokens"

_STRICT = ConfigDict(frozen=True, strict=True)
# Sums of them are still exact as floating-point numbers.
_Count = Annotated[int, Field(ge=0, le=2**44)]
_Group = Annotated[int, Field(ge=0, lt=MOST_BINS)]
_Edge = Annotated[float, Field(allow_inf_nan=False)]


class FeatureReference(BaseModel):
    """The bins ``(-inf, e0], (e0, e1], … (en, inf)`` of one feature, and the count in each."""

    model_config = _STRICT

    # It becomes a label.
    name: str = Field(pattern="^[A-Za-z_][A-Za-z0-9_.-]{0,62}$")
    edges: Annotated[list[_Edge], Field(max_length=MOST_BINS - 1), FailFast()]
    counts: Annotated[list[_Count], Field(max_length=MOST_BINS), FailFast()]

    @model_validator(mode="after")
    def _bins(self) -> Self:
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("edges do not ascend")
        if len(self.counts) != len(self.edges) + 1 or sum(self.counts) == 0:
            raise ValueError("edges and counts do not match, or nothing is counted")
        return self


class Reference(BaseModel):
    """The features, how often each class was predicted, and for text the group of each token."""

    model_config = _STRICT

    format: Literal[1]
    features: Annotated[list[FeatureReference], Field(min_length=1, max_length=100_000), FailFast()]
    prediction: Annotated[list[_Count], Field(min_length=1), FailFast()]
    groups: Annotated[list[_Group], FailFast()] = []

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = {feature.name for feature in self.features}
        if len(names) < len(self.features) or PREDICTION in names:
            raise ValueError("a feature's name is there twice, or is that of the prediction")
        if sum(self.prediction) == 0:
            raise ValueError("no prediction is counted")
        return self


def read_reference(folder: Path, descriptor: Descriptor) -> Reference | None:
    """The reference of the package in ``folder``; None without one. Blocks.

    Raises ModelInvalidError if it is not one, or not one of the model that ``descriptor`` tells of.
    """
    try:
        with (folder / REFERENCE_FILE).open("rb") as file:
            content = file.read(MAX_REFERENCE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelInvalidError(f"{REFERENCE_FILE} cannot be read: {error.strerror}") from None
    if len(content) > MAX_REFERENCE_BYTES:
        raise ModelInvalidError(f"{REFERENCE_FILE} has more than {MAX_REFERENCE_BYTES} bytes")
    try:
        reference = Reference.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))[:100] or "JSON"
        raise ModelInvalidError(
            f"{REFERENCE_FILE} is not valid: {where}: {first['msg'][:100]}"
        ) from None
    _check(reference, descriptor)
    return reference


def _check(reference: Reference, descriptor: Descriptor) -> None:
    found = (len(reference.features), len(reference.prediction), len(reference.groups))
    if descriptor.classifier is not None:
        part = descriptor.classifier
        if found != (part.features, part.classes, 0):
            raise ModelInvalidError(
                f"{REFERENCE_FILE} has {found[0]} features, {found[1]} classes and {found[2]} "
                f"groups of tokens, the model {part.features}, {part.classes} and none"
            )
        return
    if descriptor.text is None:
        raise ModelInvalidError(f"{REFERENCE_FILE} is of no use to a {descriptor.kind} model")
    groups = max(reference.groups, default=-1) + 1
    names = [feature.name for feature in reference.features]
    expected = (1, groups, descriptor.text.vocabulary)
    if found != expected or names != [TOKENS] or len(reference.features[0].counts) != groups:
        raise ModelInvalidError(
            f"{REFERENCE_FILE} does not count the feature {TOKENS} and the prediction in groups of "
            f"the model's {descriptor.text.vocabulary} tokens"
        )
