"""What happens around every request: its id, counting, timing, its trace, one log line."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access_log import AccessLog
from service.lifecycle import Lifecycle
from service.metrics import UNKNOWN, Metrics
from service.observed import CURRENT, Observed, observe

if TYPE_CHECKING:
    from service.tracing import Tracing

_UNCOUNTED = frozenset(
    {"/health", "/ready", "/metrics", "/sketches", "/ping", "/v2/health/live", "/v2/health/ready"}
)
_MODEL_PATHS = frozenset({"/predict", "/invocations", "/v1/chat/completions"})
_V2_MODELS = "/v2/models/"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_WANTED = frozenset({b"x-request-id", b"traceparent", b"tracestate"})


def is_of_model(path: str) -> bool:
    """Whether requests to it are those of a model."""
    return path in _MODEL_PATHS or (path.startswith(_V2_MODELS) and path.endswith("/infer"))


class Observe:
    """Counts requests in flight, records those to models, logs method, path, status and time.

    No log line holds a body, a query or a header, but for the request's id. Answers get the headers
    that name it and their model.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        lifecycle: Lifecycle,
        access_log: AccessLog,
        tracing: Tracing | None,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._lifecycle = lifecycle
        self._access_log = access_log
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        observed = self._begin(scope)
        observe(scope, observed)
        status = 500

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": self._headers(observed, message)}
            await send(message)

        counted = scope["path"] not in _UNCOUNTED
        if counted:
            self._metrics.in_flight += 1
        token = CURRENT.set(observed)
        try:
            await self._app(scope, receive, observed_send)
        finally:
            CURRENT.reset(token)
            if counted:
                self._metrics.in_flight -= 1
            seconds = time.perf_counter() - started
            self._end(scope, observed, observed.status or status, seconds, counted=counted)

    def _begin(self, scope: Scope) -> Observed:
        found = _find(scope["headers"])
        sent = found.get(b"x-request-id", b"")
        sane = _REQUEST_ID.fullmatch(sent)
        # Nobody is kept out by it: it need not be hard to guess.
        request_id = sent.decode() if sane else f"{random.getrandbits(128):032x}"
        observed = Observed(request_id)
        if self._tracing and is_of_model(scope["path"]) and scope["method"] == "POST":
            observed.trace_id, observed.trace = self._tracing.begin(
                scope["path"],
                found.get(b"traceparent", b"").decode("latin-1"),
                found.get(b"tracestate", b"").decode("latin-1"),
                request_id=request_id,
            )
        return observed

    def _headers(self, observed: Observed, message: Message) -> list[tuple[bytes, bytes]]:
        headers = [*message.get("headers", ()), *observed.headers()]
        if self._lifecycle.draining:
            # So that clients with open connections leave before the socket closes.
            headers = [pair for pair in headers if pair[0] != b"connection"]
            headers.append((b"connection", b"close"))
        return headers

    def _end(
        self, scope: Scope, observed: Observed, status: int, seconds: float, *, counted: bool
    ) -> None:
        served, trace = observed.served, observed.trace
        name, version = (served.name, served.version) if served else (UNKNOWN, UNKNOWN)
        if is_of_model(scope["path"]):
            trace_id = trace.trace_id if trace else None
            self._metrics.answered(name, version, status, seconds, trace_id)
        if trace:
            trace.end(status, served)
        level = "info" if counted or status >= 500 else "debug"
        self._access_log.add(observed, scope["method"], scope["path"], status, seconds, level=level)


def _find(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    return {name: value for name, value in headers if name in _WANTED}
