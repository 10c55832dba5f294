"""A short way to the endpoints that are asked most."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import ServiceError
from service.handlers import answer_error

Endpoint = Callable[[Request], Awaitable[Response]]


class Direct:
    """Calls the endpoints of some paths itself; all other requests go on to ``app``.

    The framework's way to an endpoint that reads its request and writes its answer itself takes
    several times as long as a prediction, and does nothing for it. The endpoints are those that
    are registered there, too, and so documented.
    """

    def __init__(self, app: ASGIApp, *, endpoints: Mapping[tuple[str, str], Endpoint]) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        endpoint = None
        if scope["type"] == "http":
            endpoint = self._endpoints.get((scope["method"], scope["path"]))
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
        except ServiceError as error:
            response = answer_error(request, error)
        await response(scope, receive, send)
