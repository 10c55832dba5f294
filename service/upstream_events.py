"""What an OpenAI-compatible API answers, read for the little that is shown of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from service.chat_answers import AnswerReason, Usage
from service.errors import UpstreamFailedError

_MOST_EVENT_BYTES = 262_144
_T = TypeVar("_T", bound=BaseModel)
_DONE = b"[DONE]"
_REASONS: dict[str, AnswerReason] = {"length": "length", "content_filter": "content_filter"}


class Piece(BaseModel):
    """A part of the text; why it ended, and its tokens, with one of the last."""

    content: str = ""
    reason: AnswerReason | None = None
    usage: Usage | None = None


class _Content(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    index: int = 0
    # One in a chunk, the other in a whole answer.
    delta: _Content | None = None
    message: _Content | None = None
    finish_reason: str | None = None


class _Answer(BaseModel):
    choices: list[_Choice]
    usage: Any = None


class _Chunk(BaseModel):
    choices: list[_Choice] = []
    usage: Any = None
    error: Any = None


class _Counted(BaseModel):
    prompt_tokens: int = Field(ge=0, le=1_000_000_000)
    completion_tokens: int = Field(ge=0, le=1_000_000_000)


def parse_answer(content: bytes) -> Piece:
    """All of an answer that is no stream. Raises UpstreamFailedError."""
    answer = _parse(content, _Answer)
    for choice in answer.choices:
        if choice.index == 0 and choice.message:
            reason = _reason(choice.finish_reason) or "stop"
            text = choice.message.content or ""
            return Piece(content=text, reason=reason, usage=_usage(answer.usage))
    raise UpstreamFailedError("the upstream answered without a text")


async def parse_stream(stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[Piece, None]:
    """What each event of a stream tells. Raises UpstreamFailedError, also where it breaks off."""
    began = ended = False
    async with aclosing(_events(stream)) as events:
        async for data in events:
            if data == _DONE:
                # A server that fails half-way may close the stream as it closes any other.
                if began and not ended:
                    raise UpstreamFailedError("the upstream ended an answer without a reason")
                return
            piece = _piece(_parse(data, _Chunk))
            began, ended = True, ended or piece.reason is not None
            yield piece
    if not ended:
        raise UpstreamFailedError("the upstream hung up in the middle of an answer")


def _piece(chunk: _Chunk) -> Piece:
    if chunk.error is not None:
        raise UpstreamFailedError("the upstream failed in the middle of an answer")
    piece = Piece(usage=_usage(chunk.usage))
    for choice in chunk.choices:
        if choice.index == 0:
            piece.content = (choice.delta and choice.delta.content) or ""
            piece.reason = _reason(choice.finish_reason)
    return piece


async def _events(stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The data of each event of a text/event-stream."""
    rest, data, size = b"", list[bytes](), 0
    async with aclosing(stream):
        async for received in stream:
            *lines, rest = (rest + received).split(b"\n")
            for line in lines:
                line = line.removesuffix(b"\r")
                if line.startswith(b"data:"):
                    data.append(line.removeprefix(b"data:").removeprefix(b" "))
                    size += len(line)
                elif not line and data and size <= _MOST_EVENT_BYTES:
                    yield b"\n".join(data)
                    data, size = [], 0
            if size + len(rest) > _MOST_EVENT_BYTES:
                raise UpstreamFailedError("the upstream sent a part that is too large")


def _parse(content: bytes, schema: type[_T]) -> _T:
    try:
        return schema.model_validate_json(content)
    except ValidationError:
        raise UpstreamFailedError("the upstream answered with something else than a text") from None


def _reason(told: str | None) -> AnswerReason | None:
    """OpenAI's reason; there are servers with others, kinds of `stop` but for `error`.

    Raises UpstreamFailedError for that one.
    """
    if told == "error":
        raise UpstreamFailedError("the upstream failed in the middle of an answer")
    return _REASONS.get(told, "stop") if told else None


def _usage(told: Any) -> Usage | None:
    """The tokens, if that is what was told: no answer fails for want of them."""
    try:
        counted = _Counted.model_validate(told)
    except ValidationError:
        return None
    read, written = counted.prompt_tokens, counted.completion_tokens
    return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)
