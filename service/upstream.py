"""Texts from an OpenAI-compatible API elsewhere, in the place of our own generators."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from dataclasses import dataclass

import structlog

from service.body import parse_body
from service.chat_answers import AnswerReason, Usage
from service.errors import (
    InvalidRequestError,
    ModelNotFoundError,
    ServiceError,
    UpstreamFailedError,
)
from service.metrics import Metrics
from service.models import Named
from service.observed import count_tokens
from service.predictor import Predictor
from service.settings import Settings
from service.upstream_events import Piece, parse_answer, parse_stream
from service.upstream_http import MOST_BYTES, MOST_STREAM_BYTES, Caller
from service.upstream_protocol import EVENTS, JSON, check
from service.upstream_schemas import UpstreamChatRequest

_log = structlog.stdlib.get_logger(__name__)


class Upstream:
    """The one model there is then: that of the upstream, under a name of ours."""

    owner = "upstream"
    request_schema = UpstreamChatRequest
    about = (
        "Answer a chat, in the shape of OpenAI's chat API.\n\n"
        "Another service answers: it gets the request, and its own limits bind it."
    )

    def __init__(self, settings: Settings, predictor: Predictor) -> None:
        self.named = Named(settings.upstream_name, settings.upstream_model or "upstream")
        self._model = settings.upstream_model or settings.upstream_name
        key = settings.upstream_key.get_secret_value()
        headers = {"Content-Type": JSON} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._caller = Caller(
            settings.upstream_url.get_secret_value(),
            "/chat/completions",
            headers=headers,
            seconds=settings.upstream_seconds,
        )
        self._predictor = predictor

    def all(self) -> list[Named]:
        """The one model."""
        return [self.named]

    def find(self, name: str) -> Named:
        """The one model, by its name. Raises ModelNotFoundError."""
        if name != self.named.name:
            message = f"there is no such text-generator; there are: {self.named.name}"
            raise ModelNotFoundError(message, field="model")
        return self.named

    def writer(self, body: bytes) -> UpstreamWriter:
        """The request in ``body``, for the upstream.

        Raises InvalidRequestError, ModelNotFoundError.
        """
        asked = parse_body(body, UpstreamChatRequest)
        return UpstreamWriter(asked, self.find(asked.model), self)

    async def begin(self, asked: UpstreamChatRequest, ends: ExitStack) -> UpstreamText:
        """Ask, and wait for the whole answer, or the first event of a stream.

        Raises TimedOutError, InvalidRequestError, UpstreamFailedError, UpstreamRefusesKeyError,
        UpstreamBusyError.
        """
        request = {"model": self._model, **asked.passed_on()}
        try:
            body = json.dumps(request, allow_nan=False).encode()
        except ValueError:
            raise InvalidRequestError("a number is not finite", field="body") from None
        accept = EVENTS if asked.stream else JSON
        try:
            reply = await self._caller.post(body, accept, ends, deadline=self._predictor.deadline())
            check(reply, accept)
            if not asked.stream:
                content = b"".join([part async for part in reply.body(MOST_BYTES)])
                return UpstreamText(self.named, parse_answer(content), None)
            pieces = parse_stream(reply.body(MOST_STREAM_BYTES))
            return UpstreamText(self.named, await anext(pieces), pieces)
        except StopAsyncIteration:
            raise _told(UpstreamFailedError("the upstream sent a stream without a text")) from None
        except ServiceError as error:
            raise _told(error) from None


@dataclass(frozen=True)
class UpstreamWriter:
    """A request that the upstream answers."""

    asked: UpstreamChatRequest
    named: Named
    upstream: Upstream

    async def begin(self, ends: ExitStack) -> UpstreamText:
        """As ``Upstream.begin``."""
        return await self.upstream.begin(self.asked, ends)


class UpstreamText:
    """One text of the upstream, on its way."""

    def __init__(
        self, named: Named, first: Piece, rest: AsyncGenerator[Piece, None] | None
    ) -> None:
        self.named = named
        self.finish_reason: AnswerReason | None = None
        self.usage: Usage | None = None
        self._first = first
        self._rest = rest

    async def pieces(self, metrics: Metrics) -> AsyncGenerator[str, None]:
        """The text as it comes; counts the tokens that the upstream told of, however it ends.

        Raises TimedOutError, UpstreamFailedError.
        """
        try:
            yield self._take(self._first)
            if self._rest:
                async with aclosing(self._rest) as rest:
                    async for piece in rest:
                        yield self._take(piece)
            self.finish_reason = self.finish_reason or "stop"
        except ServiceError as error:
            raise _told(error) from None
        finally:
            if self.usage:
                count_tokens(self.usage.prompt_tokens, self.usage.completion_tokens)
                metrics.tokens(
                    self.named.name,
                    self.named.version,
                    input=self.usage.prompt_tokens,
                    output=self.usage.completion_tokens,
                )

    def _take(self, piece: Piece) -> str:
        self.finish_reason = piece.reason or self.finish_reason
        self.usage = piece.usage or self.usage
        return piece.content


def _told(error: ServiceError) -> ServiceError:
    """The error, after a line in the log: whether it is the upstream's is for people to say."""
    _log.warning("upstream gave no text", code=error.code, reason=error.message)
    return error
