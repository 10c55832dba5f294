"""``python -m kindling.bench_traffic PORT PORT TURNS SECONDS CONNECTIONS``: predictions in turns.

Drives the services in turn, each for SECONDS. Each connection sends its next request when it has
the answer to the one before. Prints a JSON list of the answers per second of each turn, for each
port; ends with an error if one was not 200.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import cast

import uvloop

from kindling import paths

_BODY = (paths.REPOSITORY / "service" / "example.json").read_bytes()
_REQUEST = (
    b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)
_LENGTH = b"content-length: "


class _Connection(asyncio.Protocol):
    """One request after another, until the time of a turn is over."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    async def drive(self, until: float) -> int:
        """Send requests ``until`` then; how many were answered."""
        self._until = until
        self._answers = 0
        self._over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.transport.write(_REQUEST)
        return await self._over

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head[head.index(_LENGTH) + len(_LENGTH) :].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200 "):
            self._over.set_exception(RuntimeError(f"not 200: {self._received[:500]!r}"))
            return
        self._received = b""
        self._answers += 1
        if time.monotonic() < self._until:
            self.transport.write(_REQUEST)
        else:
            self._over.set_result(self._answers)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._over.done():
            self._over.set_exception(error or ConnectionError("it hung up"))


async def _turn(connections: Sequence[_Connection], seconds: float) -> float:
    began = time.monotonic()
    answers = await asyncio.gather(*(one.drive(began + seconds) for one in connections))
    return sum(answers) / (time.monotonic() - began)


async def _drive(
    ports: Sequence[int], turns: int, seconds: float, connections: int
) -> list[list[float]]:
    loop = asyncio.get_running_loop()
    made = [
        [
            (await loop.create_connection(_Connection, "127.0.0.1", port))[1]
            for _ in range(connections)
        ]
        for port in ports
    ]
    rates: list[list[float]] = [[] for _ in ports]
    for turn in range(turns):
        # None is always the one that comes first.
        order = range(len(ports)) if turn % 2 == 0 else reversed(range(len(ports)))
        for index in order:
            rates[index].append(await _turn(made[index], seconds))
    return rates


if __name__ == "__main__":
    *ports, turns, seconds, connections = sys.argv[1:]
    driven = _drive([*map(int, ports)], int(turns), float(seconds), int(connections))
    print(json.dumps(uvloop.run(driven)))
