"""The chat endpoint in the API description."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from service.body import json_body
from service.chat_answers import ChatCompletionChunk
from service.chat_schemas import ChatRequest
from service.schemas import ProblemResponse


def _whole(node: Any, definitions: dict[str, Any]) -> Any:
    """``node`` with every reference replaced by what it refers to."""
    if isinstance(node, list):
        return [_whole(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    node = dict(node)
    target = definitions[name.rpartition("/")[2]] if (name := node.pop("$ref", "")) else {}
    return {key: _whole(value, definitions) for key, value in {**target, **node}.items()}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    nested = model.model_json_schema()
    schema: dict[str, Any] = _whole(nested, nested.pop("$defs", {}))
    return schema


CHAT_BODY = json_body(_schema(ChatRequest))
_CHUNK_OR_ERROR = {
    "type": "string",
    "contentMediaType": "application/json",
    "contentSchema": {"anyOf": [_schema(ChatCompletionChunk), _schema(ProblemResponse)]},
}
_EVENT = {
    "type": "object",
    "required": ["data"],
    "properties": {"data": {"anyOf": [{"const": "[DONE]"}, _CHUNK_OR_ERROR]}},
}
CHAT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": (
            "The text. If `stream` is true, in chunks; the last event is [DONE], or an error."
        ),
        "content": {"text/event-stream": {"schema": _EVENT}},
    },
    **{status: {"model": ProblemResponse} for status in (404, 408, 413, 422, 500, 502, 503, 504)},
}
