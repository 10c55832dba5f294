"""What happens around every request: counting, timing, one log line."""

from __future__ import annotations

import time

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.lifecycle import Lifecycle
from service.metrics import UNKNOWN, Metrics
from service.observed import model_headers, model_of, status_of

_log = structlog.stdlib.get_logger("service.access")
_UNCOUNTED = frozenset({"/health", "/ready", "/metrics", "/sketches"})
# Whose requests are those of a model.
MODEL_PATHS = frozenset({"/predict", "/v1/chat/completions"})


class Observe:
    """Counts requests in flight, records those to models, logs method, path, status and time.

    No log line holds a body, a query or a header. Answers get the headers that name their model.
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
        scope.setdefault("state", {})
        status = 500
        started = time.perf_counter()

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": self._headers(scope, message)}
            await send(message)

        counted = scope["path"] not in _UNCOUNTED
        if counted:
            self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, observed_send)
        finally:
            if counted:
                self._metrics.in_flight.dec()
            seconds = time.perf_counter() - started
            self._record(scope, status_of(scope, status), seconds, counted=counted)

    def _headers(self, scope: Scope, message: Message) -> list[tuple[bytes, bytes]]:
        headers = MutableHeaders(raw=list(message.get("headers", [])))
        headers.update(model_headers(scope))
        if self._lifecycle.draining:
            # So that clients with open connections leave before the socket closes.
            headers["connection"] = "close"
        return headers.raw

    def _record(self, scope: Scope, status: int, seconds: float, *, counted: bool) -> None:
        served = model_of(scope)
        name, version = (served.name, served.version) if served else (UNKNOWN, UNKNOWN)
        if scope["path"] in MODEL_PATHS:
            self._metrics.answered(name, version, status, seconds)
        model = {"model": name, "version": version} if served else {}
        write = _log.info if counted or status >= 500 else _log.debug
        write(
            "request",
            method=scope["method"],
            path=scope["path"][:200],
            status=status,
            duration_ms=round(seconds * 1000, 3),
            **model,
        )
