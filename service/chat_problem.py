"""Errors of the chat API, as OpenAI's API has them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from service.errors import InvalidRequestError

PREFIX = "/v1"
_SERVER_ERROR = 500


class ChatProblem(BaseModel):
    """What went wrong: ``param`` is the field at fault, if any; ``code`` is one of ours."""

    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None = None
    code: str


class ChatProblemResponse(BaseModel):
    """Every response of the chat API that is not a success has this shape."""

    error: ChatProblem


def status_of(status: int) -> int:
    """The status for it: OpenAI's clients know an invalid request by 400."""
    return 400 if status == InvalidRequestError.status_code else status


def chat_problem(status: int, code: str, message: str, field: str | None) -> ChatProblemResponse:
    """The response to a request that ended with ``status``."""
    kind: Literal["invalid_request_error", "server_error"] = (
        "server_error" if status >= _SERVER_ERROR else "invalid_request_error"
    )
    return ChatProblemResponse(
        error=ChatProblem(message=message, type=kind, param=field, code=code)
    )
