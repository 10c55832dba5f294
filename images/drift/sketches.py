"""What replicas of the service say, and what they say together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError, model_validator

from drift.distances import Counts
from drift.errors import CallFailedError

_STRICT = ConfigDict(frozen=True, strict=True)
_Count = Annotated[int, Field(ge=0, le=2**44)]


class FeatureSketch(BaseModel):
    """Counts in the bins ``(-inf, e0], (e0, e1], … (en, inf)``, in training and lately."""

    model_config = _STRICT

    name: str
    edges: Annotated[list[float], FailFast()]
    reference: Annotated[list[_Count], FailFast()]
    live: Annotated[list[_Count], FailFast()]

    @model_validator(mode="after")
    def _bins(self) -> Self:
        if not len(self.reference) == len(self.live) == len(self.edges) + 1:
            raise ValueError("edges and counts do not match")
        if not any(self.reference):
            raise ValueError("nothing is counted")
        return self


class VersionSketch(BaseModel):
    """What came to one version on one replica."""

    model_config = _STRICT

    model: str
    version: str
    rows: _Count
    oldest: float | None = None
    newest: float | None = None
    features: Annotated[list[FeatureSketch], Field(min_length=1), FailFast()]
    prediction: FeatureSketch


class _Answer(BaseModel):
    sketches: Annotated[list[VersionSketch], Field(max_length=64), FailFast()]


@dataclass(frozen=True)
class Feature:
    """One feature, or the prediction, over all replicas."""

    name: str
    edges: tuple[float, ...]
    reference: Counts
    live: Counts


@dataclass(frozen=True)
class Merged:
    """What came to one version on all replicas."""

    model: str
    version: str
    rows: int
    replicas: int
    oldest: float | None
    newest: float | None
    features: tuple[Feature, ...]
    prediction: Feature

    @property
    def counts_tokens(self) -> bool:
        """Whether the rows are single tokens, as of text."""
        return [feature.name for feature in self.features] == ["tokens"]


def parse(content: bytes) -> list[VersionSketch]:
    """The sketches in a replica's answer. Raises CallFailedError if it is something else."""
    try:
        return _Answer.model_validate_json(content).sketches
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))[:100] or "JSON"
        raise CallFailedError(f"its answer holds no sketches: {where}") from None


def merge(answers: Iterable[list[VersionSketch]]) -> list[Merged]:
    """One for each version, sorted.

    Replicas that know another reference of the same version, as while a tag is changed, are left
    out if they are fewer.
    """
    groups: dict[tuple[str, str, int], list[VersionSketch]] = {}
    for sketch in (sketch for answer in answers for sketch in answer):
        key = (sketch.model, sketch.version, _fingerprint(sketch))
        groups.setdefault(key, []).append(sketch)
    found: dict[tuple[str, str], Merged] = {}
    for (model, version, _), sketches in groups.items():
        merged = _merged(sketches)
        other = found.get((model, version))
        if other is None or merged.replicas > other.replicas:
            found[model, version] = merged
    return [found[key] for key in sorted(found)]


def _fingerprint(sketch: VersionSketch) -> int:
    parts = (sketch.prediction, *sketch.features)
    return hash(tuple((part.name, *part.edges, *part.reference) for part in parts))


def _merged(sketches: list[VersionSketch]) -> Merged:
    first = sketches[0]
    return Merged(
        model=first.model,
        version=first.version,
        rows=sum(sketch.rows for sketch in sketches),
        replicas=len(sketches),
        oldest=min((s.oldest for s in sketches if s.oldest is not None), default=None),
        newest=max((s.newest for s in sketches if s.newest is not None), default=None),
        features=tuple(
            _sum(parts) for parts in zip(*(sketch.features for sketch in sketches), strict=True)
        ),
        prediction=_sum(tuple(sketch.prediction for sketch in sketches)),
    )


def _sum(parts: tuple[FeatureSketch, ...]) -> Feature:
    first = parts[0]
    live = np.array([part.live for part in parts], np.int64).sum(axis=0)
    return Feature(first.name, tuple(first.edges), np.array(first.reference, np.int64), live)
