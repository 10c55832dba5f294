"""/metrics, /health and /ready."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from drift.metrics import Metrics
from drift.monitor import Monitor


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16


def create_server(host: str, port: int, monitor: Monitor, metrics: Metrics) -> ThreadingHTTPServer:
    """A server that listens but does not serve yet."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # A client that says nothing holds no thread for long.
        timeout = 30

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, generate_latest(metrics.registry), CONTENT_TYPE_LATEST)
            elif self.path == "/health":
                self._say(monitor.alive, "ok", "no check was made for a long time")
            elif self.path == "/ready":
                self._say(monitor.ready, "ready", "the first check is not over")
            else:
                self._answer(404, b'{"status": "not found"}\n')

        def _say(self, good: bool, yes: str, no: str) -> None:
            content = json.dumps({"status": yes if good else no}).encode() + b"\n"
            self._answer(200 if good else 503, content)

        def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def version_string(self) -> str:
            return "kindling-drift"

        def log_message(self, *_: Any) -> None:
            """Probes and scrapes are not worth a line."""

    return _Server((host, port), Handler)
