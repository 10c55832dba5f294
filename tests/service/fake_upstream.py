"""An OpenAI-compatible API over real HTTP: it writes a text, or does what a test wants."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from chat_server import Listening, listening
from fake_registry import send
from loopback import Loopback

KEY = "sk-a.key/nobody+may=see~0123456789"
MODEL = "lab/large-1:8b"
NAME = "gpt"
USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
MESSAGE = {"role": "user", "content": "Tell me a story"}
GOOD: dict[str, Any] = {"model": NAME, "messages": [MESSAGE]}
Act = Callable[[BaseHTTPRequestHandler], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Whoever asked has hung up."""


class _Handler(BaseHTTPRequestHandler):
    fake: FakeUpstream
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fake = self.fake
        fake.paths.append(self.path)
        fake.heads.append({key.lower(): value for key, value in self.headers.items()})
        fake.asked.append(asked)
        if fake.act:
            self.close_connection = True
            fake.act(self)
        elif asked.get("stream"):
            stream(*fake.events(asked))(self)
        else:
            send(self, json.dumps(fake.completion()).encode(), Content_Type="application/json")

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class FakeUpstream(Loopback):
    """Writes ``pieces``; ``act`` answers in its place. ``hung_up`` is set once a reader is gone."""

    handler = _Handler
    server = _Server
    pieces: Sequence[str] = ("Once ", "upon ", "a ☃")
    reason: str = "stop"
    usage: dict[str, int] | None = field(default_factory=lambda: dict(USAGE))
    act: Act | None = None
    paths: list[str] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)

    def use_tls(self, certificate: str) -> None:
        """Speak TLS with the certificate and key in this file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def completion(self) -> dict[str, Any]:
        """An answer that is no stream."""
        message = {"role": "assistant", "content": "".join(self.pieces), "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": self.reason, "logprobs": None}
        answer = {"id": "theirs", "object": "chat.completion", "created": 1, "model": MODEL}
        return {**answer, "choices": [choice], **({"usage": self.usage} if self.usage else {})}

    def events(self, asked: dict[str, Any]) -> list[Any]:
        """The events of a stream."""
        found = [chunk({"role": "assistant", "content": ""})]
        found += [chunk({"content": piece}) for piece in self.pieces]
        found.append(chunk({}, self.reason))
        if self.usage and asked["stream_options"]["include_usage"]:
            found.append({**chunk({}), "choices": [], "usage": self.usage})
        return [*found, "[DONE]"]

    def wait_for_hang_up(self, handler: BaseHTTPRequestHandler) -> None:
        """Send nothing more until the other side hangs up."""
        if handler.connection.recv(1) == b"":
            self.hung_up.set()


def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    """One event of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
    head = {"id": "theirs", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return {**head, "choices": [choice], "usage": None}


def stream(*events: Any, then: Act | None = None) -> Act:
    """An answer of these events, whole but for what ``then`` does in the place of its end."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for event in events:
            data = event if isinstance(event, str) else json.dumps(event)
            piece(handler, f": a comment\r\ndata: {data}\r\n\r\n".encode())
        if then:
            then(handler)
        else:
            handler.wfile.write(b"0\r\n\r\n")

    return act


def piece(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    """Send a piece of a body that comes in pieces."""
    handler.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))


def answer(status: int, body: bytes = b"", **headers: str) -> Act:
    """An answer with a body; the names of headers have underscores for dashes."""
    return lambda handler: send(handler, body, status=status, **headers)


@contextmanager
def in_front_of(upstream: FakeUpstream, **settings: Any) -> Iterator[Listening]:
    """The service with this upstream and any other settings."""
    with listening(**settings_for(upstream) | settings) as server:
        yield server


def settings_for(upstream: FakeUpstream) -> dict[str, Any]:
    """Settings that name it."""
    return {
        "upstream_url": f"{upstream.url}/v1",
        "upstream_key": KEY,
        "upstream_model": MODEL,
        "upstream_name": NAME,
    }
