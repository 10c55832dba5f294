"""One POST over a connection of its own, with a bound on everything: time, bytes, where it leads.

No redirect is followed, and no proxy is looked for. What the address and the key are is in no
message: those reach clients and logs.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from service.errors import TimedOutError, UpstreamFailedError

# Many times what a text has whose request is answered in time.
MOST_BYTES = 1_048_576
MOST_STREAM_BYTES = 16_777_216
_READ_BYTES = 65_536


class Caller:
    """POSTs to one address below ``url``; silences longer than ``seconds`` end a call."""

    def __init__(self, url: str, path: str, *, headers: Mapping[str, str], seconds: float) -> None:
        parts = urlsplit(url)
        self._seconds = seconds
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host, self._port = parts.hostname, parts.port or (443 if self._tls else 80)
        self._target = parts.path + path
        self._headers = {
            "Host": parts.netloc,
            "User-Agent": "kindling-service",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **headers,
        }

    async def post(
        self, body: bytes, accept: str, ends: ExitStack, *, deadline: float
    ) -> UpstreamReply:
        """The head of the answer; ``ends`` closes the connection, wherever it is then.

        ``deadline``, by the clock of the event loop, is that of the whole answer.
        Raises TimedOutError, UpstreamFailedError.
        """
        bounds = _Bounds(self._seconds, deadline)
        async with bounds.within("could not be reached"):
            try:
                reader, writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._tls
                )
            except TimeoutError:
                raise
            except (OSError, UnicodeError) as error:
                raise UpstreamFailedError(
                    f"the upstream cannot be reached: {_why(error)}"
                ) from None
        ends.callback(_abort, writer)
        reply = UpstreamReply(reader, bounds)
        headers = [*self._headers.items(), ("Accept", accept), ("Content-Length", str(len(body)))]
        writer.write(reply.request(self._target, headers, body))
        async with bounds.within("did not take the request"):
            # It may have answered before it hung up.
            with suppress(ConnectionError):
                await writer.drain()
        await reply.read_head()
        return reply


class UpstreamReply:
    """An answer as it arrives: ``status`` and ``headers`` (in small letters) first."""

    def __init__(self, reader: asyncio.StreamReader, bounds: _Bounds) -> None:
        self._reader = reader
        self._bounds = bounds
        self._http = h11.Connection(our_role=h11.CLIENT)
        self.status = 0
        self.headers: dict[str, str] = {}

    def request(self, target: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
        """What is sent."""
        events = (
            h11.Request(method="POST", target=target, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        return b"".join(self._http.send(event) or b"" for event in events)

    async def read_head(self) -> None:
        """Read up to the body. Raises TimedOutError, UpstreamFailedError."""
        while not isinstance(event := await self._event(), h11.Response):
            pass
        self.status = event.status_code
        self.headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}

    async def body(self, limit: int) -> AsyncGenerator[bytes, None]:
        """Its pieces, of at most ``limit`` bytes. Raises TimedOutError, UpstreamFailedError."""
        if self.headers.get("content-encoding", "identity").lower() != "identity":
            raise UpstreamFailedError("the upstream answered in an encoding not asked for")
        size = 0
        while isinstance(event := await self._event(), h11.Data):
            size += len(event.data)
            if size > limit:
                raise UpstreamFailedError(f"the upstream answered with more than {limit} bytes")
            yield bytes(event.data)

    async def _event(self) -> h11.Event:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._receive())
        except h11.ProtocolError:
            gone = self._http.trailing_data[1]
            raise UpstreamFailedError(
                "the upstream hung up in the middle of an answer"
                if gone
                else "the upstream does not speak HTTP as it should"
            ) from None
        if isinstance(event, h11.Event):
            return event
        raise UpstreamFailedError("the upstream does not speak HTTP as it should")

    async def _receive(self) -> bytes:
        async with self._bounds.within("sent nothing more"):
            try:
                return await self._reader.read(_READ_BYTES)
            except TimeoutError:
                raise
            except OSError:
                # To h11 it is the same as its end, which is too early but for an old server's.
                return b""


@dataclass(frozen=True)
class _Bounds:
    """How long the upstream may be silent, and until when the whole may take."""

    seconds: float
    deadline: float

    @asynccontextmanager
    async def within(self, silence: str) -> AsyncIterator[None]:
        """End the block in time. Raises TimedOutError, which says that the upstream ``silence``."""
        silent = asyncio.get_running_loop().time() + self.seconds
        told = f"the upstream {silence} within {self.seconds:g} seconds"
        if self.deadline < silent:
            told = "the upstream's answer was not complete in time"
        try:
            async with asyncio.timeout_at(min(silent, self.deadline)):
                yield
        except TimeoutError:
            raise TimedOutError(told) from None


def _abort(writer: asyncio.StreamWriter) -> None:
    # Not `close`, which waits for the other side to take what was sent.
    writer.transport.abort()


def _why(error: Exception) -> str:
    """What went wrong, without the address, which the system's own words may have."""
    if isinstance(error, ssl.SSLError):
        return "its certificate is not trusted, or it does not speak TLS"
    if isinstance(error, socket.gaierror | UnicodeError):
        return "its name is not known"
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number else "no address of it answers"
