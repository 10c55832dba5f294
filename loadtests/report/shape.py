"""Whether a report has the shape of ``schema.json``, by those words that the schema uses."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,),
    "number": (int, float), "boolean": (bool,), "null": (type(None),),
}  # fmt: skip


def problem(report: Any) -> str:
    """The first thing that does not fit, or nothing."""
    return next(_problems(report, _schema(), ""), "")


@functools.cache
def _schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(__file__).with_name("schema.json").read_text())
    return found


def _problems(value: Any, schema: dict[str, Any], at: str) -> Iterator[str]:
    if reference := schema.get("$ref"):
        schema = _schema()["$defs"][reference.rsplit("/", 1)[-1]]
    if not _is(value, schema.get("type", [])):
        yield f"{at or 'it'} is of another type"
    elif value not in schema.get("enum", [value]) or value != schema.get("const", value):
        yield f"{at} has an unknown value"
    elif isinstance(value, list):
        for n, entry in enumerate(value):
            yield from _problems(entry, schema["items"], f"{at}[{n}]")
    elif isinstance(value, dict):
        known = schema.get("properties", {})
        for missing in [name for name in schema.get("required", []) if name not in value]:
            yield f"{at}.{missing} is missing".lstrip(".")
        for name, entry in value.items():
            of = known.get(name, schema.get("additionalProperties"))
            if not of:
                yield f"{at}.{name} is unknown".lstrip(".")
            else:
                yield from _problems(entry, of, f"{at}.{name}".lstrip("."))


def _is(value: Any, types: str | list[str]) -> bool:
    names = [types] if isinstance(types, str) else types
    if isinstance(value, bool):
        return not names or "boolean" in names
    return not names or any(isinstance(value, _TYPES[name]) for name in names)
