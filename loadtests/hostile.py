"""``python -m loadtests.hostile HOST PORT CONNECTIONS SECONDS``: clients that hold a service up.

Keeps so many connections open for so long, each of one of some kinds, and begins one anew when the
service has ended it. Prints a JSON object: the least number that were open at once (``open``) after
the first seconds, in which they begin, and for each of ``kinds``, how many were begun, how many of
them the service ended, and how many it did not take. It ends by itself.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import resource
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

_RECONNECT_SECONDS = 1.0
_SEND_INTERVAL_SECONDS = 2.0
_POLL_SECONDS = 0.5
_CONNECT_TIMEOUT_SECONDS = 10.0
# So many begin in a second, that not all of them end in one.
_BEGIN_PER_SECOND = 100.0
_KEPT_FILES = 64
_RECEIVE_BYTES = 4096
_POST = b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"

Pieces = AsyncIterator[bytes]


async def _silent() -> Pieces:
    yield b""


async def _half_head() -> Pieces:
    yield _POST


async def _dripping_head() -> Pieces:
    yield _POST
    while True:
        yield b"x: y\r\n"
        await asyncio.sleep(_SEND_INTERVAL_SECONDS)


async def _half_body() -> Pieces:
    yield _POST + b'content-length: 1000\r\n\r\n{"instances": [['


async def _dripping_chunks() -> Pieces:
    yield _POST + b"transfer-encoding: chunked\r\n\r\n"
    while True:
        yield b"1\r\n \r\n"
        await asyncio.sleep(_SEND_INTERVAL_SECONDS)


async def _never_reading() -> Pieces:
    # Together more than what lies between two sockets.
    yield b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n" * 20


async def _large_head() -> Pieces:
    yield _POST + b"x-large: " + b"x" * 65_536


async def _large_body() -> Pieces:
    yield _POST + b"content-length: 10000000000\r\n\r\n"


async def _compressed() -> Pieces:
    yield _POST + b"content-encoding: gzip\r\ncontent-length: 1000\r\n\r\n\x1f\x8b"


KINDS: Mapping[str, Callable[[], Pieces]] = {
    "silent": _silent,
    "half a head": _half_head,
    "a head byte by byte": _dripping_head,
    "half a body": _half_body,
    "a body byte by byte": _dripping_chunks,
    "responses not read": _never_reading,
    "a body too large": _large_body,
    "a head too large": _large_head,
    "a compressed body": _compressed,
}
# These are refused at once: a few come again and again beside those that stay.
_REFUSED = ("a head too large", "a compressed body")
_REFUSED_CLIENTS = 10
# Some are away for the moment between their end and their return.
_SPARE = 0.12
# Who has sent nothing, or has its response, is idle, and may be so for longer than this takes.
IDLE = frozenset({"silent", "a body too large"})


@dataclass(frozen=True)
class Kept:
    """The least number of connections that were open at once, and how those of each kind went."""

    open: int
    kinds: dict[str, dict[str, int]]


async def keep(host: str, port: int, connections: int, seconds: float) -> Kept:
    """Keep so many connections open for ``seconds``."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    staying = [kind for kind in KINDS if kind not in _REFUSED]
    clients = [staying[n % len(staying)] for n in range(round(connections * (1 + _SPARE)))]
    clients += [*_REFUSED] * _REFUSED_CLIENTS
    deadline = time.monotonic() + seconds
    tasks = [
        asyncio.create_task(_client(host, port, KINDS[kind], counts[kind], n / _BEGIN_PER_SECOND))
        for n, kind in enumerate(clients)
    ]
    # All have begun once.
    await asyncio.sleep(min(len(clients) / _BEGIN_PER_SECOND, seconds))
    least = _open(counts)
    while time.monotonic() < deadline:
        await asyncio.sleep(_POLL_SECONDS)
        least = min(least, _open(counts))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    fields = ("begun", "ended", "not taken")
    kinds = {kind: {field: found[field] for field in fields} for kind, found in counts.items()}
    return Kept(least, kinds)


def _open(counts: Mapping[str, Counter[str]]) -> int:
    return sum(found["begun"] - found["ended"] for found in counts.values())


async def _client(
    host: str, port: int, kind: Callable[[], Pieces], counts: Counter[str], wait: float
) -> None:
    await asyncio.sleep(wait)
    while True:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_SECONDS):
                reader, writer = await _connect(host, port)
        except OSError:
            counts["not taken"] += 1
        else:
            counts["begun"] += 1
            try:
                await _go_on(reader, writer, kind)
                counts["ended"] += 1
            finally:
                writer.transport.abort()
        await asyncio.sleep(_RECONNECT_SECONDS)


async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = found[0]
    opened = socket.socket(family, kind, protocol)
    try:
        # What is not read stays with the service.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        opened.setblocking(False)
        await asyncio.get_running_loop().sock_connect(opened, address)
        return await asyncio.open_connection(sock=opened, limit=1024)
    except BaseException:
        opened.close()
        raise


async def _go_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: Callable[[], Pieces]
) -> None:
    """Send what a client of this kind sends, and return when the service has ended it."""
    if kind is _never_reading:
        writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def send() -> None:
        async for piece in kind():
            writer.write(piece)

    sending = asyncio.create_task(send())
    try:
        if kind is _never_reading:
            # Nobody tells a client that does not read of the end: writing does.
            while not writer.transport.is_closing():
                await asyncio.sleep(_SEND_INTERVAL_SECONDS)
                writer.write(b" ")
        else:
            while await reader.read(1024):
                pass
    except OSError:
        pass
    finally:
        sending.cancel()


def main() -> int:
    """Run; the exit code is 0."""
    host, port, connections, seconds = sys.argv[1:]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, int(connections) + _KEPT_FILES), most))
    found = asyncio.run(keep(host, int(port), int(connections), float(seconds)))
    print(json.dumps(dataclasses.asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
