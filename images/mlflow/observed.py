"""MLflow's app behind its authentication, with metrics and one log line around every request.

``mlflow server --app-name=observed`` finds ``create_app`` by the entry point that the image has.
MLflow's own ``--expose-prometheus`` sees no request that FastAPI answers, has no paths in its
series, and answers on the port that clients use.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import logs
from prometheus_client import Counter, Histogram

_log = logging.getLogger("mlflow.access")
# Asked for all the time by probes, and by clients before they ask for anything else.
_UNCOUNTED = frozenset({"/health", "/version"})
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_FLASK_PARAMETER = re.compile(r"<(?:[^<>]*:)?([^<>:]+)>")
_FASTAPI_PARAMETER = re.compile(r"{([^{}:]+):[^{}]*}")
# What a request is counted under that no route takes.
_OTHER = "other"

REQUESTS = Counter(
    "mlflow_http_requests_total",
    "Requests answered, by method, status and the route's path. Probes are not counted.",
    ["method", "status", "path"],
)
DURATION = Histogram(
    "mlflow_http_request_duration_seconds",
    "Time from a request's head to the end of the answer.",
    ["method", "path"],
    buckets=_BUCKETS,
)

Scope = dict[str, Any]
Asgi = Callable[..., Any]


class Observe:
    """Counts, times and logs requests; ``path_of`` names the route that one took.

    No log line holds a query, a body or a header but the trace's id.
    """

    def __init__(self, app: Asgi, path_of: Callable[[Mapping[str, Any]], str]) -> None:
        self._app = app
        self._path_of = path_of

    async def __call__(self, scope: Scope, receive: Asgi, send: Asgi) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The routers below rewrite both.
        method, path = scope["method"], scope["path"]
        logs.trace_id.set(_trace_id(scope))
        status = 500
        started = time.perf_counter()

        async def observed_send(message: Mapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        finally:
            seconds = time.perf_counter() - started
            if path not in _UNCOUNTED:
                self._record(scope, method, path, status, seconds)

    def _record(self, scope: Scope, method: str, path: str, status: int, seconds: float) -> None:
        known = method if method in _METHODS else _OTHER
        route = self._path_of({**scope, "method": method, "path": path})
        REQUESTS.labels(known, str(status), route).inc()
        DURATION.labels(known, route).observe(seconds)
        fields = {
            "method": method,
            "path": path[:200],
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
        }
        _log.info("request", extra={"fields": fields})


def create_app() -> Asgi:
    """MLflow's app with authentication, observed; for one worker of uvicorn."""
    import mlflow.server
    from mlflow.server.auth import create_app as with_authentication

    logs.configure()
    app = with_authentication(mlflow.server.app)
    return Observe(app, lambda scope: route_path(scope, mlflow.server.app.url_map))


def route_path(scope: Mapping[str, Any], url_map: Any) -> str:
    """The path of the route that took a request, with names for what differs between requests.

    ``url_map`` is Flask's, which has most of the routes; FastAPI leaves its own in the scope. One
    of FastAPI's that authentication refused was never looked for, and is counted with the rest.
    """
    from werkzeug.exceptions import HTTPException
    from werkzeug.routing import RequestRedirect

    if fastapi := getattr(scope.get("route"), "path", ""):
        return _FASTAPI_PARAMETER.sub(r"{\1}", fastapi)
    try:
        rule, _ = url_map.bind("").match(scope["path"], scope["method"], return_rule=True)
    except (HTTPException, RequestRedirect):
        return _OTHER
    return _FLASK_PARAMETER.sub(r"{\1}", rule.rule)


def _trace_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"traceparent" and (told := _TRACEPARENT.fullmatch(value)):
            return told[1].decode()
    return ""
