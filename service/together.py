"""Answers that leave the process by one call of the system each."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# So long a client may take to read what is left once its connection is closed.
_LINGER_SECONDS = 10.0


class Together:
    """A transport that writes at the end of the event loop's turn what the turn wrote.

    Head and body of an answer are two writes. Each by itself would be a call of the system, a
    packet, and a client that wakes up for it: a fourth of all that a small answer takes.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Write it soon, after what was written before."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Close when all is written."""
        self._flush()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._loop.call_later(_LINGER_SECONDS, self._transport.abort)

    def _flush(self) -> None:
        if self._parts:
            whole = b"".join(self._parts)
            self._parts.clear()
            if not self._transport.is_closing():
                self._transport.write(whole)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class TogetherProtocol(HttpToolsProtocol):
    """uvicorn's protocol over such transports."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by the event loop."""
        together: Any = Together(transport, self.loop)
        super().connection_made(together)
