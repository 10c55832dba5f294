"""Text generators behind a really listening server in this process, and OpenAI's own client."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import onnxruntime as ort
from conftest import wait_until
from model_graphs import describe
from openai import OpenAI
from text_models import CONTEXT, VOCABULARY, tokenizer_bytes, trained

from service.app import create_app
from service.lifecycle import Lifecycle
from service.loader import open_runner, read_descriptor
from service.metrics import Metrics
from service.models import Models, Served
from service.package import Descriptor, TextPart, parse_descriptor
from service.server import create_server
from service.settings import Settings
from service.text_generation import Generation, Logits, Options, Tokens
from service.tokenizer import Tokenizer


@dataclass
class Listening:
    """A server, what it serves and what it counts."""

    url: str
    models: Models
    metrics: Metrics

    def client(self, **changes: Any) -> OpenAI:
        """OpenAI's client as it is; it tries once."""
        values: dict[str, Any] = {"api_key": "none", "max_retries": 0, **changes}
        return OpenAI(base_url=f"{self.url}/v1", **values)

    def value(self, name: str, **labels: str) -> float | None:
        """A metric of version 3 of the text generator, once all requests are counted."""
        httpx.get(f"{self.url}/metrics")
        return self.metrics.registry.get_sample_value(
            name, {"model": "text", "version": "3", **labels}
        )

    def wait_counted(self, status: int, number: int) -> None:
        """Wait until so many requests have this status; that comes after the answer's end."""
        wait_until(
            lambda: self.value("llm_requests_total", status=str(status)) == number,
            f"{number} requests are counted as {status}",
        )

    def in_flight(self) -> float | None:
        """Requests that the server is answering."""
        return self.metrics.registry.get_sample_value("http_requests_in_flight")


@contextmanager
def listening(*served: Served, names: tuple[str, ...] = (), **settings: Any) -> Iterator[Listening]:
    """A server of these models, with any settings; ``names`` are models that are not loaded."""
    values = Settings(
        listen_host="127.0.0.1", listen_port=0, drain_seconds=0, shutdown_seconds=1, **settings
    )
    models = Models([*(one.name for one in served), *names])
    metrics, lifecycle = Metrics(models.names), Lifecycle(models)
    for one in served:
        models.put(one)
        metrics.served(one.name, one.version, one.descriptor.accuracy, one.descriptor.kind)
    app = create_app(values, models, metrics=metrics, lifecycle=lifecycle)
    server = create_server(app, values, lifecycle, metrics)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started, "the server listens")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Listening(f"http://127.0.0.1:{port}", models, metrics)
    finally:
        server.should_exit = True
        thread.join(20)


@contextmanager
def trained_server(folder: Path) -> Iterator[Listening]:
    """A server of a trained text generator, whose package is put into ``folder``, and of digits."""
    for name, content in trained().items():
        (folder / name).write_bytes(content)
    descriptor = read_descriptor(folder, "text")
    runner = open_runner(folder, descriptor, intra_op_threads=1)
    digits = Served("digits", "1", parse_descriptor(describe(), "digits"), None)
    with listening(digits, Served("text", "3", descriptor, runner)) as server:
        yield server


@dataclass
class Scripted:
    """Stands in for a text generator: writes ``text`` over and over, a step when it may."""

    text: str = "then"
    seconds: float = 0.0
    fails_at: int = -1
    steps: int = 0
    may_step: threading.Semaphore | None = None
    tokenizer: Tokenizer = field(default_factory=lambda: Tokenizer(tokenizer_bytes()))

    def start(self, prompt: str, options: Options) -> Generation:
        wanted = self.tokenizer.encode(self.text)
        place = 0

        def run(_: Tokens, __: ort.RunOptions | None) -> Logits:
            nonlocal place
            if self.may_step:
                assert self.may_step.acquire(timeout=60)
            time.sleep(self.seconds)
            if place == self.fails_at:
                raise RuntimeError("a secret of the runtime")
            logits = np.full(self.tokenizer.vocabulary, -np.inf, np.float32)
            logits[wanted[place % len(wanted)]] = 0
            place += 1
            self.steps += 1
            return logits

        return Generation(run, self.tokenizer, prompt, context=CONTEXT, options=options)

    def served(self, version: str = "3") -> Served:
        """As a version that is served."""
        part = TextPart(vocabulary=VOCABULARY, context=CONTEXT)
        descriptor = Descriptor(
            format=1, name="text", kind="text-generator", accuracy=0.5, text=part
        )
        return Served("text", version, descriptor, self)
