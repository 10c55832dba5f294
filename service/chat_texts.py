"""Where the texts of chats come from, as far as the endpoint needs to know."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, aclosing
from typing import Protocol

from service.chat_answers import AnswerReason, Usage
from service.chat_schemas import BaseChatRequest
from service.metrics import Metrics
from service.models import Named


class Text(Protocol):
    """One text in the making."""

    @property
    def named(self) -> Named:
        """Whose it is."""

    @property
    def finish_reason(self) -> AnswerReason | None:
        """Why it ended, once it has."""

    @property
    def usage(self) -> Usage | None:
        """Its tokens; None where nobody tells."""

    def pieces(self, metrics: Metrics) -> AsyncGenerator[str, None]:
        """What each step adds to it, often nothing; counts the tokens, however it ends.

        Raises ServiceError.
        """


class Writer(Protocol):
    """A request, and the model that answers it."""

    @property
    def named(self) -> Named:
        """What the model is called."""

    @property
    def asked(self) -> BaseChatRequest:
        """The request."""

    async def begin(self, ends: ExitStack) -> Text:
        """A text of which there is the first piece: what fails here is no stream yet.

        ``ends`` is closed when the request is over, however it ends. Raises ServiceError.
        """


class Texts(Protocol):
    """All that can be asked for a text."""

    @property
    def owner(self) -> str:
        """Whose models they are."""

    @property
    def about(self) -> str:
        """What the endpoint does, for the API's description."""

    @property
    def request_schema(self) -> type[BaseChatRequest]:
        """What it takes, for the same."""

    def all(self) -> Sequence[Named]:
        """The models."""

    def find(self, name: str) -> Named:
        """The model of that name. Raises ModelNotFoundError, NotReadyError."""

    def writer(self, body: bytes) -> Writer:
        """What answers the request in ``body``.

        Raises InvalidRequestError, ModelNotFoundError, NotReadyError.
        """


async def whole(text: Text, metrics: Metrics) -> str:
    """All of a text. Raises ServiceError."""
    async with aclosing(text.pieces(metrics)) as pieces:
        return "".join([piece async for piece in pieces])
