"""Bounds on connections: how many there are, heads of requests, responses that nobody reads."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from prometheus_client import Counter
from pydantic_core import to_json
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.metrics import Metrics
from service.schemas import Problem, ProblemResponse
from service.settings import Settings
from service.together import TogetherProtocol

# Chunks of one byte, the smallest, take six bytes on the wire.
_MAX_BYTES_PER_CONTENT = 9
_SEND_BUFFER_BYTES = 131_072
# At the bound of connections so large a share of it is closed at once: to look for those that have
# waited longest takes long where there are many.
_MAX_SHARE = 32


@dataclass(frozen=True)
class _Closing:
    """Why a connection is closed, and what its client is told."""

    reason: str
    status: int = 0
    message: str = ""

    def response(self) -> bytes:
        """The whole response; empty if there is none."""
        if not self.status:
            return b""
        problem = Problem(code=self.reason, message=self.message)
        body = to_json(ProblemResponse(error=problem))
        head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        return STATUS_LINE[self.status] + head.encode() + b"connection: close\r\n\r\n" + body


_HEAD_TOO_LARGE = _Closing("head_too_large", 431, "the request's line and headers are too large")
_HEAD_TOO_SLOW = _Closing("head_too_slow", 408, "the request's line and headers are too slow")
_BODY_TOO_LARGE = _Closing("body_too_large")
_NOT_READ = _Closing("response_not_read")
_TOO_MANY = _Closing("too_many_connections")
# What a client can be waited for.
_HEAD, _BODY, _IDLE = range(3)


class _HeadTooLargeError(Exception):
    """Ends the parsing of a head."""


class BoundedProtocol(TogetherProtocol):
    """uvicorn's protocol, which bounds how fast bodies are read and nothing else, with bounds.

    A request that arrives in one piece costs some comparisons; timers run only while a client is
    waited for.
    """

    settings: ClassVar[Settings]
    closed: ClassVar[Counter]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._is_in_head = self._is_refused = False
        # Bytes of the head that is under way, of the last packet, and heads that began in it.
        self._head_bytes = self._packet_bytes = self._packet_heads = 0
        # Bytes on the wire after a head, and how many of them are the body's.
        self._wire_bytes = self._body_bytes = 0
        # Since when the client has been waited for.
        self._since = 0.0
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by the event loop."""
        super().connection_made(transport)
        # The kernel would keep some MiB for a client that does not read, of the pod's memory.
        found = transport.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._since = self.loop.time()
        # uvicorn gives up idle connections only after their first response.
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )
        if len(self.connections) > self.settings.max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        super().connection_lost(exc)
        self._stop_timers()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        cycle = self.cycle
        is_in_body = cycle is not None and cycle.more_body and not self._is_in_head
        self._packet_bytes, self._packet_heads = len(data), 0
        super().data_received(data)
        if self._is_in_head:
            self._head_grew(is_pipelined=self._packet_heads > 1 or is_in_body)
        elif is_in_body and cycle is self.cycle:
            self._since = self.loop.time()
            self._wire_bytes += len(data)
            most = self.settings.max_head_bytes + _MAX_BYTES_PER_CONTENT * self._body_bytes
            # What is no body is extensions of chunks, or headers behind it.
            if self._wire_bytes > most:
                self._close(_BODY_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Called by the parser."""
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = 0
        self._packet_heads += 1

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._is_in_head = False
        self._wire_bytes = self._body_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        most = self.settings.max_head_bytes
        if self._head_bytes + self._packet_bytes > most and self._parsed_bytes() > most:
            self._is_refused = True
            # Whatever is raised here makes uvicorn answer that the request is bad.
            raise _HeadTooLargeError
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._body_bytes += len(body)
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Called for what is not HTTP, or is not to be parsed on."""
        if self._is_refused:
            self._close(_HEAD_TOO_LARGE)
        else:
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        """Called by the transport when the client does not read."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(
            self.settings.write_timeout_seconds, self._close, _NOT_READ
        )

    def resume_writing(self) -> None:
        """Called by the transport when the client reads on."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def timeout_keep_alive_handler(self) -> None:
        """Called for a connection on which nothing happened for long."""
        if self.transport.get_write_buffer_size():
            self._close(_NOT_READ)
        else:
            super().timeout_keep_alive_handler()

    def _head_grew(self, *, is_pipelined: bool) -> None:
        # A packet that has more than this head is no measure of it.
        if is_pipelined:
            self._head_bytes = self._parsed_bytes()
        else:
            self._head_bytes += self._packet_bytes
        if self._head_bytes > self.settings.max_head_bytes:
            self._close(_HEAD_TOO_LARGE)
        elif self._head_timer is None:
            self._since = self.loop.time()
            self._head_timer = self.loop.call_later(
                self.settings.head_timeout_seconds, self._close, _HEAD_TOO_SLOW
            )

    def _parsed_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _close(self, closing: _Closing) -> None:
        self._stop_timers()
        if self.transport.is_closing() and closing is not _NOT_READ:
            return
        self.closed.labels(closing.reason).inc()
        if response := closing.response():
            self.transport.write(response)
            self.transport.close()
        else:
            self.transport.abort()

    def _stop_timers(self) -> None:
        for timer in (self._head_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._write_timer = None

    def stage(self) -> int | None:
        """What the client is waited for, those first that are closed first; None: for nothing."""
        if self.transport.is_closing():
            return None
        if self.cycle is None or self._is_in_head:
            return _HEAD
        if not self.cycle.response_complete:
            return _BODY if self.cycle.more_body else None
        # Clients keep such connections for their next request.
        return _IDLE

    def since(self) -> float:
        """Since when, by the clock of the event loop."""
        return self._since

    def make_way(self) -> None:
        """Close this connection for the sake of others."""
        self.connections.discard(self)
        self._close(_TOO_MANY)

    def _make_room(self) -> None:
        others = cast("set[BoundedProtocol]", self.connections - {self})
        waiting = sorted(
            (stage, one.since(), id(one), one)
            for one in others
            if (stage := one.stage()) is not None
        )
        if not waiting:
            self.make_way()
            return
        first = waiting[0][0]
        most = 1 if first == _IDLE else max(1, self.settings.max_connections // _MAX_SHARE)
        for stage, *_, one in waiting[:most]:
            if stage == first:
                one.make_way()


def bounded_protocol(settings: Settings, metrics: Metrics) -> type[BoundedProtocol]:
    """The class of the protocol with the bounds of ``settings``; ``metrics`` count what it ends."""
    for closing in (_HEAD_TOO_LARGE, _HEAD_TOO_SLOW, _BODY_TOO_LARGE, _NOT_READ, _TOO_MANY):
        metrics.closed.labels(closing.reason)
    return type("Protocol", (BoundedProtocol,), {"settings": settings, "closed": metrics.closed})
