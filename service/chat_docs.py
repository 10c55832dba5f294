"""The chat endpoint in the API description."""

from __future__ import annotations

from typing import Any

from service.body import json_body, schema_of
from service.chat_answers import ChatCompletionChunk
from service.chat_problem import ChatProblemResponse
from service.chat_schemas import BaseChatRequest

_CHUNK_OR_ERROR = {
    "type": "string",
    "contentMediaType": "application/json",
    "contentSchema": {"anyOf": [schema_of(ChatCompletionChunk), schema_of(ChatProblemResponse)]},
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
    **{
        status: {"model": ChatProblemResponse}
        for status in (400, 404, 408, 413, 415, 500, 502, 503, 504)
    },
}


def chat_body(request: type[BaseChatRequest]) -> dict[str, Any]:
    """The endpoint's body, which is a ``request``."""
    return json_body(schema_of(request))
