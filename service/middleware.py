"""What happens around every request: counting, timing, one log line."""

from __future__ import annotations

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.lifecycle import Lifecycle
from service.metrics import Metrics

_log = structlog.stdlib.get_logger("service.access")
_UNCOUNTED = frozenset({"/health", "/ready", "/metrics"})


class Observe:
    """Counts requests in flight, records predictions, logs method, path, status and time.

    No log line holds a body, a query or a header.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, lifecycle: Lifecycle) -> None:
        self._app = app
        self._metrics = metrics
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._lifecycle.draining:
                    # So that clients with open connections leave before the socket closes.
                    headers = [*message.get("headers", []), (b"connection", b"close")]
                    message = {**message, "headers": headers}
            await send(message)

        counted = scope["path"] not in _UNCOUNTED
        if counted:
            self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, observed_send)
        finally:
            if counted:
                self._metrics.in_flight.dec()
            self._record(scope, status, time.perf_counter() - started, counted=counted)

    def _record(self, scope: Scope, status: int, seconds: float, *, counted: bool) -> None:
        if scope["path"] == "/predict":
            self._metrics.prediction_answered(status, seconds)
        write = _log.info if counted or status >= 500 else _log.debug
        write(
            "request",
            method=scope["method"],
            path=scope["path"][:200],
            status=status,
            duration_ms=round(seconds * 1000, 3),
        )
