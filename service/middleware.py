"""What happens around every request: its id, counting, timing, its trace, one log line."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.endings import Endings
from service.lifecycle import Lifecycle
from service.observed import CURRENT, Observed, observe

if TYPE_CHECKING:
    from service.tracing import Tracing

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_WANTED = frozenset({b"x-request-id", b"traceparent", b"tracestate"})


class Observe:
    """Notes how requests end; see Endings for what is told of them.

    No log line holds a body, a query or a header, but for the request's id. Answers get the headers
    that name it and their model.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        lifecycle: Lifecycle,
        endings: Endings,
        tracing: Tracing | None,
    ) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._endings = endings
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        observed = self._begin(scope)
        observe(scope, observed)
        status, ended = 500, 0.0

        async def observed_send(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": self._headers(observed, message)}
            elif not message.get("more_body", False):
                # How long the client takes to read it is not the service's time.
                ended = time.perf_counter()
            await send(message)

        token = CURRENT.set(observed)
        try:
            await self._app(scope, receive, observed_send)
        finally:
            CURRENT.reset(token)
            # Nor is how long it takes to send the body.
            began = observed.body_arrived or started
            observed.seconds = (ended or time.perf_counter()) - began
            observed.status = observed.status or status
            self._endings.add(observed)

    def _begin(self, scope: Scope) -> Observed:
        found = _find(scope["headers"])
        sent = found.get(b"x-request-id", b"")
        sane = _REQUEST_ID.fullmatch(sent)
        # Nobody is kept out by it: it need not be hard to guess.
        request_id = sent.decode() if sane else f"{random.getrandbits(128):032x}"
        observed = Observed(request_id, scope["method"], scope["path"], scope["client"])
        if self._tracing and observed.is_of_model and observed.method == "POST":
            observed.theirs, observed.trace = self._tracing.begin(
                found.get(b"traceparent"), found.get(b"tracestate", b"")
            )
        return observed

    def _headers(self, observed: Observed, message: Message) -> list[tuple[bytes, bytes]]:
        headers = [*message.get("headers", ()), *observed.headers()]
        if self._lifecycle.draining:
            # So that clients with open connections leave before the socket closes.
            headers = [pair for pair in headers if pair[0] != b"connection"]
            headers.append((b"connection", b"close"))
        return headers


def _find(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    return {name: value for name, value in headers if name in _WANTED}
