"""``python -m loadtests.bench_serving.traffic < PLAN``: a closed loop on a core of its own.

Each connection sends its next request when it has the answer to the one before, and the requests
are taken in turn. PLAN and what is printed are JSON; ``Plan`` and ``Found`` say what is in them.
Ends with one line on stderr if an answer is not 200, or none comes.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass

_LENGTH, _CHUNKED = b"content-length: ", b"transfer-encoding: chunked"
_LAST_CHUNK = b"0\r\n\r\n"
_LONGEST_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Plan:
    """What to send to ``port`` of this machine, and for how long.

    ``most`` requests are sent at most; where it is 0, as many as there is time for. What is
    answered in the first ``warmup`` seconds does not count. The last ``keep`` answers are kept.
    """

    port: int
    path: str
    bodies: list[str]
    connections: int
    core: int
    warmup: float = 0.0
    seconds: float = 60.0
    most: int = 0
    keep: int = 64


@dataclass(frozen=True)
class Found:
    """``seconds`` that counted, the latencies in seconds of what was answered in them.

    ``cpu`` is the share of its core that the generator itself took; ``answers`` are (which body,
    the answer to it).
    """

    seconds: float
    latencies: list[float]
    cpu: float
    answers: list[tuple[int, str]]


class _Load:
    """What all connections share: which request is next, and what was answered."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        head = f"POST {plan.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        self.requests = [
            f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode() for body in plan.bodies
        ]
        self.sent = 0
        self.over = False
        self.latencies: list[float] = []
        self.kept: deque[tuple[int, bytes]] = deque(maxlen=plan.keep)

    def next(self) -> int | None:
        if self.over or (self._plan.most and self.sent >= self._plan.most):
            return None
        self.sent += 1
        return (self.sent - 1) % len(self.requests)


class _Connection(asyncio.Protocol):
    """One request after another."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._received = b""
        self._which = 0
        self._began = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self) -> None:
        """Send the next request, if there is one."""
        which = self._load.next()
        if which is None:
            if not self.done.done():
                self.done.set_result(None)
            return
        self._which, self._began = which, time.perf_counter()
        self.transport.write(self._load.requests[which])

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        names = head.lower()
        at = names.find(_LENGTH)
        if at >= 0:
            complete = len(body) >= int(names[at + len(_LENGTH) :].split(b"\r\n", 1)[0])
        else:
            # What we are answered is JSON, which does not end like that.
            complete = _CHUNKED in names and body.endswith(_LAST_CHUNK)
        if not complete:
            return
        if not head.startswith(b"HTTP/1.1 200 "):
            self._fail(f"not 200: {self._received[:500]!r}")
            return
        self._load.latencies.append(time.perf_counter() - self._began)
        self._load.kept.append((self._which, body if at >= 0 else _joined(body)))
        self._received = b""
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"it hung up: {error or 'no reason'}")

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(why))


def _joined(chunks: bytes) -> bytes:
    """What the chunks of an answer hold."""
    found = b""
    while chunks:
        size, _, rest = chunks.partition(b"\r\n")
        found += rest[: int(size, 16)]
        chunks = rest[int(size, 16) + 2 :]
    return found


async def drive(plan: Plan) -> Found:
    """Carry out ``plan``. Raises ConnectionError, also TimeoutError."""
    loop = asyncio.get_running_loop()
    load = _Load(plan)
    made = [
        (await loop.create_connection(lambda: _Connection(load), "127.0.0.1", plan.port))[1]
        for _ in range(plan.connections)
    ]
    all_done = asyncio.gather(*(one.done for one in made))
    for one in made:
        one.send()
    await _pause(all_done, plan.warmup)
    load.latencies.clear()
    began, cpu = time.perf_counter(), time.process_time()
    await _pause(all_done, plan.seconds)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    latencies = load.latencies.copy()
    load.over = True
    await asyncio.wait_for(all_done, _LONGEST_WAIT_SECONDS)
    for one in made:
        one.transport.abort()
    answers = [(which, body.decode()) for which, body in load.kept]
    return Found(seconds, latencies, cpu / seconds, answers)


async def _pause(ending: asyncio.Future[list[None]], seconds: float) -> None:
    """Wait so long, or until there is nothing more to wait for."""
    if seconds > 0:
        await asyncio.wait([ending], timeout=seconds)


def main() -> int:
    plan = Plan(**json.load(sys.stdin))
    os.sched_setaffinity(0, {plan.core})
    # Its own pauses would count as those of whom it asks.
    gc.disable()
    try:
        found = asyncio.run(drive(plan))
    except (OSError, TimeoutError) as error:
        print(str(error) or "no answer in time", file=sys.stderr)
        return 1
    print(json.dumps(asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
