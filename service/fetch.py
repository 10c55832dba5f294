"""GET and POST at one host, with a bound on everything: time, bytes, and where it leads."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import quote, urlencode, urlsplit

from service.errors import AnswerAbsentError, AnswerTooLargeError, RegistryUnreachableError

Sink = Callable[[bytes], object]

_CHUNK_BYTES = 65_536
# A large file may take longer than one call, as long as it comes at least this fast.
_SLOWEST_BYTES_PER_SECOND = 262_144
_LOOK_SECONDS = 0.1
# At once. A call that waits for its turn is not overdue meanwhile.
_CALLS = 8


@dataclass(frozen=True)
class _Question:
    target: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


class Fetcher:
    """Asks the host of ``uri``, and nobody else: no proxy, and no redirect is followed."""

    def __init__(self, uri: str, *, username: str, password: str, seconds: float) -> None:
        self._parts = urlsplit(uri)
        self._seconds = seconds
        self._tls = ssl.create_default_context() if self._parts.scheme == "https" else None
        self._headers = {"User-Agent": "kindling-service", "Accept-Encoding": "identity"}
        if username:
            credentials = b64encode(f"{username}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {credentials}"
        self._pool = ThreadPoolExecutor(_CALLS, thread_name_prefix="registry")
        self._turns = asyncio.Semaphore(_CALLS)

    async def get(self, path: str, query: Mapping[str, str], sink: Sink, *, limit: int) -> None:
        """Give the answer's body of at most ``limit`` bytes to ``sink``, piece by piece.

        ``sink`` is called in a thread. Raises RegistryUnreachableError, and its AnswerAbsentError
        and AnswerTooLargeError.
        """
        target = quote(self._parts.path + path) + ("?" + urlencode(query) if query else "")
        await self._ask(_Question(target, headers=self._headers), sink, limit)

    async def post(
        self, path: str, body: bytes, headers: Mapping[str, str], *, limit: int
    ) -> bytes:
        """The answer's body of at most ``limit`` bytes to a POST of ``body``.

        Raises RegistryUnreachableError, and its AnswerAbsentError and AnswerTooLargeError.
        """
        content = bytearray()
        target = quote(self._parts.path + path)
        question = _Question(target, "POST", {**self._headers, **headers}, body)
        await self._ask(question, content.extend, limit)
        return bytes(content)

    async def _ask(self, question: _Question, sink: Sink, limit: int) -> None:
        async with self._turns:
            await self._exchange(question, sink, limit)

    async def _exchange(self, question: _Question, sink: Sink, limit: int) -> None:
        exchange = _Exchange(self._connection(), self._seconds)
        work = asyncio.get_running_loop().run_in_executor(
            self._pool, exchange.run, question, sink, limit
        )
        # Its end is looked at, also when nobody waits for it any more.
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=_LOOK_SECONDS)
                if not work.done() and exchange.overdue():
                    raise RegistryUnreachableError(
                        f"it did not answer within {self._seconds:g} seconds"
                    )
            work.result()
        finally:
            work.cancel()
            exchange.hang_up()

    def _connection(self) -> HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._tls is None:
            return HTTPConnection(host, port, timeout=self._seconds)
        return HTTPSConnection(host, port, timeout=self._seconds, context=self._tls)


class _Exchange:
    """One request and its answer, in a thread that others can hurry."""

    def __init__(self, connection: HTTPConnection, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._started = time.monotonic()
        self._received = 0
        self._over = False
        self._socket: socket.socket | None = None

    def overdue(self) -> bool:
        """Whether the answer is slower than it may be."""
        allowed = self._seconds + self._received / _SLOWEST_BYTES_PER_SECOND
        return time.monotonic() - self._started > allowed

    def hang_up(self) -> None:
        """End it, whatever the thread waits for."""
        self._over = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def run(self, question: _Question, sink: Sink, limit: int) -> None:
        try:
            self._connection.connect()
            # The connection forgets it when the answer's head says that it is the last.
            self._socket = self._connection.sock
            if self._over:
                return
            self._connection.request(
                question.method, question.target, question.body, dict(question.headers)
            )
            with self._connection.getresponse() as response:
                _check_head(response, limit)
                self._read(response, sink, limit)
        except TimeoutError:
            raise RegistryUnreachableError(
                f"it did not answer within {self._seconds:g} seconds"
            ) from None
        except OSError as error:
            raise RegistryUnreachableError(error.strerror or type(error).__name__) from None
        except (HTTPException, ValueError) as error:
            raise RegistryUnreachableError(
                f"it does not speak HTTP as it should: {type(error).__name__}"
            ) from None
        finally:
            self._connection.close()

    def _read(self, response: HTTPResponse, sink: Sink, limit: int) -> None:
        while chunk := response.read1(_CHUNK_BYTES):
            self._received += len(chunk)
            if self._received > limit:
                raise AnswerTooLargeError(f"it answered with more than {limit} bytes")
            if self._over:
                return
            sink(chunk)
        if response.length:
            raise RegistryUnreachableError("it hung up in the middle of an answer")


def _check_head(response: HTTPResponse, limit: int) -> None:
    if response.status == 404:
        raise AnswerAbsentError("it answered 404 Not Found")
    if response.status != 200:
        raise RegistryUnreachableError(f"it answered {response.status}{_hint(response.status)}")
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    transfer = response.headers.get("Transfer-Encoding", "chunked").lower()
    if encoding != "identity" or transfer != "chunked":
        raise RegistryUnreachableError("it answered in an encoding that was not asked for")
    if response.length is not None and response.length > limit:
        raise AnswerTooLargeError(f"it answered with more than {limit} bytes")


def _hint(status: int) -> str:
    if status in (401, 403):
        return ", so user, password or host name are not what it expects"
    return ", but redirects are not followed" if 300 <= status < 400 else ""
