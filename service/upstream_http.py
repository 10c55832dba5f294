"""One POST over a connection of its own, with a bound on everything: time, bytes, where it leads.

No redirect is followed, and no proxy is looked for. What is wrong is told without the address, the
key or a word of the upstream's: it reaches clients and logs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import h11

from service.errors import UpstreamFailedError
from service.upstream_connection import Bounds, Connector

# Many times what a text has whose request is answered in time.
MOST_BYTES = 1_048_576
MOST_STREAM_BYTES = 16_777_216
_READ_BYTES = 65_536


class Caller:
    """POSTs to one address below ``url``; silences longer than ``seconds`` end a call."""

    def __init__(self, url: str, path: str, *, headers: Mapping[str, str], seconds: float) -> None:
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        self._seconds = seconds
        self._connector = Connector(
            parts.hostname or "", parts.port or (443 if tls else 80), tls=tls
        )
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
        bounds = Bounds(self._seconds, deadline)
        reader, writer = await self._connector.connect(bounds, ends)
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

    def __init__(self, reader: asyncio.StreamReader, bounds: Bounds) -> None:
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
