"""A trained model, a registry, the app in this process, the real server in another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fake_registry import FakeRegistry, digests
from fastapi.testclient import TestClient

from pipeline import digits
from service.__main__ import assemble
from service.app import create_app
from service.copies import Copies
from service.loader import open_runner, read_descriptor
from service.metrics import Metrics
from service.models import Models, Served
from service.settings import Settings

ROOT = Path(__file__).parents[2]
VERSION = "3"


@pytest.fixture(scope="session")
def package_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package of the trained digits model, and a few held-out rows."""
    folder = tmp_path_factory.mktemp("package")
    digits.write_package(folder)
    return folder


@pytest.fixture(scope="session")
def package(package_dir: Path) -> dict[str, bytes]:
    """The files of the trained model."""
    return {name: (package_dir / name).read_bytes() for name in digits.PACKAGE}


@pytest.fixture(scope="session")
def served(package_dir: Path) -> Served:
    """The trained model, loaded."""
    descriptor = read_descriptor(package_dir, "digits")
    runner = open_runner(package_dir, descriptor, intra_op_threads=1)
    return Served("digits", VERSION, descriptor, runner)


@pytest.fixture
def holdout(package_dir: Path) -> dict[str, Any]:
    """A few held-out rows as a request, and their labels."""
    content: dict[str, Any] = json.loads((package_dir / "holdout.json").read_text())
    return content


@pytest.fixture
def cache_dir(tmp_path: Path, package: dict[str, bytes]) -> Path:
    """A folder with a copy of the trained model, as the service keeps it."""
    return keep_copy(tmp_path / "cache", "digits", VERSION, package)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry without models."""
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def make_client(served: Served) -> Iterator[Callable[..., TestClient]]:
    """Makes clients of an app around any loaded models, with any settings."""
    with ExitStack() as stack:

        def make(*models: Served, **settings: Any) -> TestClient:
            held = Models([model.name for model in models or (served,)])
            metrics = Metrics(held.names)
            for model in models or (served,):
                held.put(model)
                descriptor = model.descriptor
                metrics.served(model.name, model.version, descriptor.accuracy, descriptor.kind)
            return client_of(create_app(Settings(**settings), held, metrics=metrics), stack)

        yield make


@pytest.fixture
def client(make_client: Callable[..., TestClient]) -> TestClient:
    """A client of an app with the trained model and the default settings."""
    return make_client()


@pytest.fixture
def follow(registry: FakeRegistry, tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """Makes clients of apps that follow ``registry``, in this process, with any settings."""
    with ExitStack() as stack:
        yield partial(follow_with, registry, stack, cache_dir=tmp_path / "cache")


def follow_with(registry: FakeRegistry, stack: ExitStack, **settings: Any) -> TestClient:
    """A client of an app that follows ``registry`` until ``stack`` is left."""
    values = {
        "registry_uri": registry.url,
        "poll_seconds": 0.05,
        "registry_seconds": 1,
        "check_seconds": 5,
    }
    return client_of(assemble(Settings(**values | settings)).config.app, stack)


def client_of(app: Any, stack: ExitStack) -> TestClient:
    """A client of ``app``, which runs until ``stack`` is left."""
    return stack.enter_context(TestClient(app, raise_server_exceptions=False))


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
def serve(cache_dir: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers with any settings; a free port, a copy of the model, ready when returned.

    ``program``, what Python is to run, stands in for the service as it is.
    """
    processes: list[subprocess.Popen[bytes]] = []

    def start(program: Sequence[str] = ("-m", "service"), **settings: object) -> Server:
        values = {"cache_dir": cache_dir, "listen_host": "127.0.0.1", "listen_port": 0, **settings}
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
        wait_until(lambda: f"on {marker}" in log.read_text(), "the server listens", log)
        port = log.read_text().split(f"on {marker}")[1].split()[0]
        url = f"{marker}{port}"
        wait_until(lambda: httpx.get(f"{url}/ready").status_code == 200, "the server is ready", log)
        return Server(process, url, log)

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def keep_copy(cache: Path, name: str, version: str, files: dict[str, bytes]) -> Path:
    """Put a copy of a model into ``cache``, as the service would."""
    copies = Copies(cache)
    workspace = copies.workspace(name)
    for file, content in files.items():
        (workspace / file).write_bytes(content)
    copies.note(name, copies.keep(name, version, digests(files), workspace))
    return cache


def wait_until(condition: Callable[[], bool], what: str, log: Path | None = None) -> None:
    """Return when ``condition`` holds; fail after a minute, saying what was waited for."""
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited 60 s until {what}; {log.read_text() if log else ''}")
        time.sleep(0.02)
