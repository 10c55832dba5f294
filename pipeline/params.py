"""``params.yaml``: what people may want to change about a model, read strictly."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

from pipeline.errors import PipelineError

FILE = Path(__file__).resolve().parent.parent / "params.yaml"
_T = TypeVar("_T")


def load(model: str, kind: type[_T], file: Path = FILE) -> _T:
    """The parameters of a model as the dataclass ``kind``.

    Raises PipelineError for a key that is missing or that nothing reads, and for a wrong type.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise PipelineError(f"{file.name} cannot be read: {error}") from error
    return cast(_T, _build(kind, (content or {}).get(model), model))


def flat(params: Any) -> dict[str, str]:
    """Nested parameters as one level of dotted names, without bounds that bound nothing."""
    return dict(_leaves("", dataclasses.asdict(params)))


def _leaves(prefix: str, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(f"{prefix}{key}.", value)
        elif value not in (math.inf, -math.inf):
            yield prefix + key, str(value)


def _build(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _object(kind, value if isinstance(value, dict) else {}, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and isinstance(value, list):
        return tuple(_build(arguments[0], item, where) for item in value)
    if origin is dict and isinstance(value, dict):
        return {key: _build(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        name = getattr(kind, "__name__", kind)
        raise PipelineError(f"{where} in {FILE.name} is {value!r}, not of type {name}")
    return value


def _object(kind: Any, given: dict[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(kind)
    needed = {
        field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING
    }
    if missing := sorted(needed - set(given)):
        raise PipelineError(f"{where} in {FILE.name} has no {', '.join(missing)}")
    if unknown := sorted(set(given) - set(hints)):
        raise PipelineError(
            f"{where} in {FILE.name}: nothing reads {', '.join(unknown)}",
            next_step=f"known there: {', '.join(hints)}",
        )
    return kind(**{key: _build(hints[key], given[key], f"{where}.{key}") for key in given})
