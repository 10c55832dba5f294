"""HTTP servers of tests, on loopback while they are entered."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit


class Loopback:
    """Serves with the ``handler`` of its class, which finds it as ``fake``."""

    handler: ClassVar[type[BaseHTTPRequestHandler]]
    server: ClassVar[type[ThreadingHTTPServer]] = ThreadingHTTPServer
    port: int = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before."""
        handler = type("Handler", (self.handler,), {"fake": self})
        self._server = self.server(("127.0.0.1", self.port), handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class JsonHandler(BaseHTTPRequestHandler):
    """Answers a GET with the status and the JSON that ``fake.answer`` gives for its query."""

    fake: Any

    def do_GET(self) -> None:
        status, content = self.fake.answer(parse_qs(urlsplit(self.path).query))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""
