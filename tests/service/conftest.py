"""A model trained once, the app around it in this process, and the real server in another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from pipeline import digits
from service.app import create_app
from service.model import Model, OnnxModel
from service.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained model."""
    folder = tmp_path_factory.mktemp("model")
    digits.write(folder)
    return folder


@pytest.fixture
def model(model_dir: Path) -> OnnxModel:
    """The trained model, loaded."""
    model = OnnxModel(model_dir, name="digits")
    model.load()
    return model


@pytest.fixture
def holdout(model_dir: Path) -> dict[str, Any]:
    """A few held-out rows as a request, and their labels."""
    content: dict[str, Any] = json.loads((model_dir / "holdout.json").read_text())
    return content


@pytest.fixture
def make_client(model: Model) -> Iterator[Callable[..., TestClient]]:
    """Makes clients of an app around any model, with any settings."""
    opened: list[TestClient] = []

    def make(served: Model = model, **settings: Any) -> TestClient:
        app = create_app(Settings(**settings), served)
        client = TestClient(app, raise_server_exceptions=False)
        client.__enter__()
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make_client: Callable[..., TestClient]) -> TestClient:
    """A client of an app with the trained model and the default settings, ready."""
    client = make_client()
    wait_until(lambda: client.get("/ready").status_code == 200, "the app is ready")
    return client


@dataclass
class Server:
    """The service in a process of its own."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def log_lines(self) -> list[dict[str, Any]]:
        """What it logged so far; fails on a line that is not JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def serve(model_dir: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers with any settings; a free port, ready when returned.

    ``program``, what Python is to run, stands in for the service as it is.
    """
    processes: list[subprocess.Popen[bytes]] = []

    def start(program: Sequence[str] = ("-m", "service"), **settings: object) -> Server:
        values = {"model_dir": model_dir, "listen_host": "127.0.0.1", "listen_port": 0, **settings}
        environment = {f"KINDLING_SERVICE_{key.upper()}": str(v) for key, v in values.items()}
        log = tmp_path / "server.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, *program],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        processes.append(process)
        marker = "http://127.0.0.1:"
        wait_until(lambda: marker in log.read_text(), "the server listens", log)
        port = log.read_text().split(marker)[1].split()[0]
        url = f"{marker}{port}"
        wait_until(lambda: httpx.get(f"{url}/ready").status_code == 200, "the server is ready", log)
        return Server(process, url, log)

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def wait_until(condition: Callable[[], bool], what: str, log: Path | None = None) -> None:
    """Return when ``condition`` holds; fail after 20 seconds, saying what was waited for."""
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited 20 s until {what}; {log.read_text() if log else ''}")
        time.sleep(0.02)
