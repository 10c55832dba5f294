"""What a request's body says, and how OpenAPI describes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from service.errors import InvalidRequestError

_T = TypeVar("_T", bound=BaseModel)


def parse_body(body: bytes, schema: type[_T]) -> _T:
    """The request in ``body``. Raises InvalidRequestError naming the field, never its value."""
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise InvalidRequestError(_said(first["msg"]), field=_path(first["loc"])) from None


def _said(message: str) -> str:
    """What a validator of ours said, without pydantic's word before it."""
    return message.removeprefix("Value error, ")


def _path(location: tuple[int | str, ...]) -> str:
    """``("instances", 0, 3)`` as ``instances[0][3]``; the whole body is ``body``."""
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in location]
    return "".join(parts).lstrip(".")[:200] or "body"


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """How OpenAPI describes what fits ``model``: whole, for references lead elsewhere there."""
    nested = model.model_json_schema()
    schema: dict[str, Any] = _whole(nested, nested.pop("$defs", {}))
    return schema


def _whole(node: Any, definitions: dict[str, Any]) -> Any:
    """``node`` with every reference replaced by what it refers to."""
    if isinstance(node, list):
        return [_whole(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    node = dict(node)
    target = definitions[name.rpartition("/")[2]] if (name := node.pop("$ref", "")) else {}
    return {key: _whole(value, definitions) for key, value in {**target, **node}.items()}


def json_body(schema: Mapping[str, Any]) -> dict[str, Any]:
    """How OpenAPI describes a body that no endpoint declares; its example is the first one."""
    return json_bodies(schema)


def json_bodies(*schemas: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a body that fits one of ``schemas``; its example is the first one's."""
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    content = {"application/json": {"schema": schema, "example": schemas[0]["examples"][0]}}
    return {"requestBody": {"required": True, "content": content}}
