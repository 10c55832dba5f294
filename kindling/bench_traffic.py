"""``python -m kindling.bench_traffic PORT CONNECTIONS SECONDS``: predictions without a pause.

Each connection sends its next request when it has the answer to the one before. Prints as JSON how
many answers came in how many seconds; ends with an error if one was not 200.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from kindling import paths

_BODY = (paths.REPOSITORY / "service" / "example.json").read_bytes()
_REQUEST = (
    b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)
_LENGTH = b"content-length: "


class _Connection(asyncio.Protocol):
    """One request after another, until the time is over."""

    def __init__(self, until: float) -> None:
        self._until = until
        self._received = b""
        self.answers = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head[head.index(_LENGTH) + len(_LENGTH) :].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200 "):
            self._end(RuntimeError(f"not 200: {self._received[:500]!r}"))
            return
        self._received = b""
        self.answers += 1
        if time.monotonic() < self._until:
            self._transport.write(_REQUEST)
        else:
            self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or ConnectionError("it hung up"))

    def _end(self, error: Exception | None) -> None:
        if self.over.done():
            return
        if error:
            self.over.set_exception(error)
        else:
            self.over.set_result(None)
        self._transport.close()


async def _drive(port: int, connections: int, seconds: float) -> dict[str, float]:
    began = time.monotonic()
    loop = asyncio.get_running_loop()
    made = [
        (await loop.create_connection(lambda: _Connection(began + seconds), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.over for connection in made))
    answers = sum(connection.answers for connection in made)
    return {"answers": answers, "seconds": time.monotonic() - began}


if __name__ == "__main__":
    port, connections, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(_drive(int(port), int(connections), float(seconds)))))
