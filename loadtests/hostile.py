"""``python -m loadtests.hostile HOST PORT CONNECTIONS SECONDS``: clients that hold a service up.

Keeps so many connections open for so long, each of one of some kinds, and begins one anew when the
service has ended it. Prints a JSON object: how many of each kind were begun, how many
of them the service ended, and how many it did not take. It ends by itself.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping

_AGAIN_SECONDS = 1.0
# Who is refused at once is not there more often than who is waited for.
_SHORTEST_SECONDS = 10.0
_DRIP_SECONDS = 2.0
_CONNECT_SECONDS = 10.0
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
        await asyncio.sleep(_DRIP_SECONDS)


async def _half_body() -> Pieces:
    yield _POST + b'content-length: 1000\r\n\r\n{"instances": [['


async def _dripping_chunks() -> Pieces:
    yield _POST + b"transfer-encoding: chunked\r\n\r\n"
    while True:
        yield b"1\r\n \r\n"
        await asyncio.sleep(_DRIP_SECONDS)


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
    "a head too large": _large_head,
    "a body too large": _large_body,
    "a compressed body": _compressed,
}


# Who has sent nothing, or has its response, is idle, and may be so for longer than this takes.
IDLE = frozenset({"silent", "a body too large"})


async def keep(host: str, port: int, connections: int, seconds: float) -> dict[str, dict[str, int]]:
    """Keep so many connections open for ``seconds``; how they went, by their kind."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    names = list(KINDS)
    deadline = time.monotonic() + seconds
    tasks = [
        asyncio.create_task(
            _client(
                host,
                port,
                KINDS[names[number % len(names)]],
                counts[names[number % len(names)]],
                number / _BEGIN_PER_SECOND,
            )
        )
        for number in range(connections)
    ]
    await asyncio.sleep(deadline - time.monotonic())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    fields = ("begun", "ended", "not taken")
    return {kind: {field: found[field] for field in fields} for kind, found in counts.items()}


async def _client(
    host: str, port: int, kind: Callable[[], Pieces], counts: Counter[str], wait: float
) -> None:
    await asyncio.sleep(wait)
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                reader, writer = await _open(host, port)
        except OSError:
            counts["not taken"] += 1
        else:
            counts["begun"] += 1
            try:
                await _go_on(reader, writer, kind)
                counts["ended"] += 1
            finally:
                writer.transport.abort()
        await asyncio.sleep(max(_AGAIN_SECONDS, _SHORTEST_SECONDS - (time.monotonic() - began)))


async def _open(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
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
                await asyncio.sleep(_DRIP_SECONDS)
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
    print(json.dumps(asyncio.run(keep(host, int(port), int(connections), float(seconds)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
