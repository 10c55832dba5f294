"""A connection to the upstream within bounds; what the address is, is in no message."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from service.errors import TimedOutError, UpstreamFailedError

# Names are looked up in threads of their own: while no answer comes, those of others are not held.
_NAME_THREADS = 4


@dataclass(frozen=True)
class Bounds:
    """Seconds that the upstream may be silent, and the event loop's time when all must be there."""

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


class Connector:
    """Connects to ``host``, by TLS if ``tls``."""

    def __init__(self, host: str, port: int, *, tls: bool) -> None:
        self._host, self._port = host, port
        self._tls = ssl.create_default_context() if tls else None
        self._names = ThreadPoolExecutor(_NAME_THREADS, thread_name_prefix="upstream-names")

    async def connect(
        self, bounds: Bounds, ends: ExitStack
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that ``ends`` closes. Raises TimedOutError, UpstreamFailedError."""
        async with bounds.within("could not be reached"):
            try:
                reader, writer = await self._open()
            except TimeoutError:
                raise
            except (OSError, UnicodeError) as error:
                raise UpstreamFailedError(
                    f"the upstream cannot be reached: {_why(error)}"
                ) from None
        ends.callback(_abort, writer)
        return reader, writer

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the first of its addresses that answers. Raises OSError, UnicodeError."""
        ask = partial(socket.getaddrinfo, self._host, self._port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._names, ask)
        failure = OSError()
        for *_, address in found:
            try:
                return await asyncio.open_connection(
                    str(address[0]),
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
            except OSError as error:
                failure = error
        raise failure


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
