"""A text as OpenAI's API shows it: one answer, or a stream of events."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from pydantic import BaseModel
from starlette.types import Scope

from service.chat_answers import (
    AnswerMessage,
    AnswerReason,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
    Delta,
)
from service.chat_problem import chat_problem
from service.chat_texts import Text
from service.errors import ClientGoneError, ServiceError
from service.metrics import Metrics
from service.observed import ended_with


def completion(text: Text, content: str) -> ChatCompletion:
    """The answer to a request that asked for no stream."""
    reason = text.finish_reason
    assert reason is not None
    message = AnswerMessage(content=content)
    choice = Choice(message=message, finish_reason=reason)
    return ChatCompletion(**_head(text), choices=[choice], usage=text.usage)


async def events(
    text: Text, metrics: Metrics, scope: Scope, *, include_usage: bool
) -> AsyncIterator[str]:
    """The events of a stream: a role, pieces of text, a reason to finish, the usage if wanted.

    An error on the way is an event too, and the last.
    """
    head = {**_head(text), "object": "chat.completion.chunk"}
    if include_usage:
        head["usage"] = None

    def chunk(delta: Delta, finish_reason: AnswerReason | None = None) -> str:
        choice = ChunkChoice(index=0, delta=delta, finish_reason=finish_reason)
        return _event(ChatCompletionChunk(**head, choices=[choice]))

    # If nothing else is said, the client did not stay to the end.
    ended_with(scope, ClientGoneError.status_code)
    yield chunk(Delta(role="assistant", content=""))
    try:
        async with aclosing(text.pieces(metrics)) as pieces:
            async for piece in pieces:
                if piece:
                    yield chunk(Delta(content=piece))
    except ServiceError as error:
        ended_with(scope, error.status_code)
        problem = chat_problem(error.status_code, error.code, error.message, error.field)
        yield f"data: {problem.model_dump_json()}\n\n"
        return
    yield chunk(Delta(), text.finish_reason)
    if include_usage and text.usage:
        yield _event(ChatCompletionChunk(**{**head, "usage": text.usage}, choices=[]))
    ended_with(scope, 200)
    yield "data: [DONE]\n\n"


def _head(text: Text) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": text.named.name,
        "system_fingerprint": f"{text.named.name}-{text.named.version}",
    }


def _event(content: BaseModel) -> str:
    # What is not set is not there: a chunk tells only what is new.
    return f"data: {content.model_dump_json(exclude_unset=True)}\n\n"
