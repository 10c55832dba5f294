"""A service that answers as it is told to, on loopback: right, wrong, late or not at all."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from loopback import Loopback

from loadtests.data import CLASSES, Data, Prompt, Said

VERSION = "7"


def data(*, chat: bool = True) -> Data:
    """Twenty images that tell their label by their first pixel, and two prompts."""
    labels = [number % CLASSES for number in range(20)]
    rows = [[label] + [0] * 63 for label in labels]
    prompts = [Prompt("The estimator", 0, 8), Prompt("Parameters of", 1, 16)]
    return Data(rows, labels, prompts if chat else [])


def known(*, chat: bool = True) -> Data:
    """The same, and what the fake says of it."""
    found = data(chat=chat)
    found.labels_of[VERSION] = list(found.labels)
    found.texts_of[VERSION] = [
        Said(VERSION, f" said {prompt.text}", "length", 2, prompt.max_tokens)
        for prompt in found.prompts
    ]
    return found


def prediction(labels: list[int], version: str = VERSION) -> dict[str, Any]:
    """What the service answers when these are the labels."""
    return {
        "model": "digits",
        "version": version,
        "predictions": [
            {"label": label, "probabilities": [float(i == label) for i in range(CLASSES)]}
            for label in labels
        ],
    }


def chunks(said: Said) -> list[dict[str, Any]]:
    """The chunks of a stream, before they are written down."""
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "text",
        "system_fingerprint": f"text-{said.version}",
    }

    def chunk(delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
        return head | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    usage = {
        "prompt_tokens": said.prompt_tokens,
        "completion_tokens": said.completion_tokens,
        "total_tokens": said.prompt_tokens + said.completion_tokens,
    }
    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": piece}) for piece in said.text.split("|") if piece),
        chunk({}, said.finish_reason),
        head | {"choices": [], "usage": usage},
    ]


def stream(events: list[dict[str, Any]]) -> bytes:
    """Events as they are sent."""
    return (
        b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in events) + b"data: [DONE]\n\n"
    )


class _Handler(BaseHTTPRequestHandler):
    fake: FakeService
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.fake.lock:
            self.fake.requests += 1
            self.fake.in_flight += 1
            self.fake.most_in_flight = max(self.fake.most_in_flight, self.fake.in_flight)
        try:
            self.fake.gate()
            status, content = self.fake.answer(body)
        finally:
            with self.fake.lock:
                self.fake.in_flight -= 1
        if status == 0:
            self.close_connection = True
            return
        # Whoever asked may have left.
        with suppress(ConnectionError):
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def right(body: dict[str, Any]) -> tuple[int, bytes]:
    """The answer that the data expects."""
    if "instances" in body:
        return 200, json.dumps(prediction([int(row[0]) for row in body["instances"]])).encode()
    text = body["messages"][0]["content"]
    (said,) = [s for s in known().texts_of[VERSION] if s.text == f" said {text}"]
    return 200, stream(chunks(said))


@dataclass
class FakeService(Loopback):
    """Answers by ``answer``: a status, 0 to hang up, and a body; each waits at the ``gate``."""

    handler = _Handler

    answer: Callable[[dict[str, Any]], tuple[int, bytes]] = right
    gate: Callable[[], None] = lambda: None
    requests: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Stall:
    """A gate that shuts at the Nth request and holds all that come until it opens."""

    def __init__(self, at: int, seconds: float) -> None:
        self._left, self._seconds = at, seconds
        self._lock = threading.Lock()
        self._open = threading.Event()
        self.begin = self.end = 0.0

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            first = self._left == 0
            held = self._left <= 0
        if first:
            self.begin = time.time()
            time.sleep(self._seconds)
            self.end = time.time()
            self._open.set()
        elif held:
            assert self._open.wait(60)
