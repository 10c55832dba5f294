"""Reading request bodies from the wire, within bounds on each and on all of them together."""

from __future__ import annotations

import asyncio
from time import perf_counter

from starlette.requests import Request
from starlette.types import Scope

from service.errors import (
    BodyTooLargeError,
    BodyTooSlowError,
    ClientGoneError,
    EncodingUnsupportedError,
)
from service.observed import observed_of

_IDENTITY = (b"", b"identity")


class _Reading:
    """A body that is under way."""

    __slots__ = ("began", "is_given_up", "size", "timeout")

    def __init__(self, timeout: asyncio.Timeout) -> None:
        self.timeout = timeout
        self.began = perf_counter()
        self.size = 0
        self.is_given_up = False

    def rate(self, now: float) -> float:
        """Bytes per second so far."""
        return self.size / max(now - self.began, 1e-9)


class BodyReader:
    """Reads bodies of at most ``max_bytes`` within ``timeout_seconds``.

    Bodies under way hold at most ``max_total_bytes`` together: beyond it the slowest is given up.
    Clients behind one load balancer share an address, so that no bound goes by addresses.
    """

    def __init__(self, *, max_bytes: int, max_total_bytes: int, timeout_seconds: float) -> None:
        self._max_bytes = max_bytes
        self._max_total_bytes = max_total_bytes
        self._timeout_seconds = timeout_seconds
        self._readings: set[_Reading] = set()
        self._total_bytes = 0

    async def read(self, request: Request, *, max_bytes: int | None = None) -> bytes:
        """The body of ``request``, counted as it arrives. The latency of a request begins then.

        Raises BodyTooLargeError as soon as the bound is passed or announced to be,
        BodyTooSlowError, EncodingUnsupportedError, ClientGoneError.
        """
        limit = min(self._max_bytes, max_bytes or self._max_bytes)
        _check_headers(request.scope, limit)
        try:
            async with asyncio.timeout(self._timeout_seconds) as timeout:
                reading = _Reading(timeout)
                self._readings.add(reading)
                try:
                    body = await self._read(request, reading, limit)
                finally:
                    self._readings.discard(reading)
                    self._total_bytes -= reading.size
        except TimeoutError:
            if reading.is_given_up:
                raise BodyTooSlowError("too many bodies are under way, and it is slow") from None
            seconds = self._timeout_seconds
            raise BodyTooSlowError(f"the body did not arrive within {seconds:g} seconds") from None
        observed_of(request.scope).body_arrived = perf_counter()
        return body

    async def _read(self, request: Request, reading: _Reading, limit: int) -> bytes:
        chunks: list[bytes] = []
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError("the client hung up")
            chunk = message.get("body", b"")
            reading.size += len(chunk)
            self._total_bytes += len(chunk)
            if reading.size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)
            if self._total_bytes > self._max_total_bytes:
                self._give_up_slowest()

    def _give_up_slowest(self) -> None:
        now = perf_counter()
        under_way = [one for one in self._readings if not one.is_given_up]
        if under_way:
            slowest = min(under_way, key=lambda one: one.rate(now))
            slowest.is_given_up = True
            slowest.timeout.reschedule(asyncio.get_running_loop().time())


def _check_headers(scope: Scope, limit: int) -> None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise _too_large(limit)
        if name == b"content-encoding" and value.strip().lower() not in _IDENTITY:
            raise EncodingUnsupportedError("the body is compressed; send it as it is")


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"the body has more than {limit} bytes")
