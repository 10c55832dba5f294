"""The program: its settings, its probes, its end; and beside a real service, drift found."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from drift_samples import answer, drawn
from fake_tracking import FakeTracking
from prometheus_client.parser import text_string_to_metric_families

from drift.errors import CallFailedError, NoReplicaError, SettingsInvalidError
from drift.replicas import Replicas, resolve
from drift.settings import Settings, load_settings
from pipeline import digits, package, params, stages
from pipeline.digits import preparation
from service.copies import Copies

ROOT = Path(__file__).parents[2]


@dataclass
class Program:
    """A process of ours that listens."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}")

    def series(self) -> dict[tuple[str, ...], float]:
        """What it exports of drift."""
        return {
            (sample.name, *(sample.labels.get(key, "") for key in ("version", "feature"))): (
                sample.value
            )
            for family in text_string_to_metric_families(self.get("/metrics").text)
            for sample in family.samples
            if sample.name.startswith("model_drift")
        }


Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `python -m MODULE` with settings; it listens when returned."""
    processes = []

    def started(module: str, settings: Mapping[str, object]) -> Program:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        prefix = f"KINDLING_{module.upper()}_"
        values = {"listen_host": "127.0.0.1", "listen_port": port, **settings}
        environment = {f"{prefix}{key.upper()}": str(value) for key, value in values.items()}
        log = tmp_path / f"{module}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": f"{ROOT / 'images'}:{ROOT}", **environment},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        processes.append(process)
        wait_until(lambda: listens(port), f"{module} listens", log)
        return Program(process, port, log)

    yield started
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool], what: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited 30 s until {what}; {log.read_text()}")
        time.sleep(0.05)


def run_with(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "drift"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "images"), **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_every_mistake_in_the_settings_is_named() -> None:
    done = run_with(KINDLING_DRIFT_INTERVAL="5", KINDLING_DRIFT_MINIMUM_ROWS="few")
    assert done.returncode == 2
    assert "KINDLING_DRIFT_INTERVAL: no such setting" in done.stderr
    assert "KINDLING_DRIFT_MINIMUM_ROWS: " in done.stderr


@pytest.mark.parametrize("uri", ["mlflow:5000", "http://user:word@mlflow", "ftp://mlflow", ""])
def test_an_address_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(SettingsInvalidError, match="KINDLING_DRIFT_REGISTRY_URI"):
        load_settings({"KINDLING_DRIFT_REGISTRY_URI": uri})


def test_the_password_is_taken_as_it_stands_and_shown_nowhere() -> None:
    settings = load_settings({"KINDLING_DRIFT_REGISTRY_PASSWORD": "0x1F", "OTHER": "x"})
    assert settings.registry_password.get_secret_value() == "0x1F"
    assert "0x1F" not in repr(settings)
    assert load_settings({}) == Settings()


def test_it_is_ready_after_its_first_check_and_ends_when_told(start: Start) -> None:
    program = start("drift", {"service_host": "127.0.0.1", "service_port": 1})
    wait_until(lambda: program.get("/ready").status_code == 200, "it is ready", program.log)
    assert program.get("/health").json() == {"status": "ok"}
    assert program.get("/else").status_code == 404
    assert program.series()["model_drift_check_failures", "", ""] == 1
    assert "process_resident_memory_bytes" in program.get("/metrics").text
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(10) == 0
    lines = [json.loads(line) for line in program.log.read_text().splitlines()]
    assert [line["message"] for line in lines] == ["started", "replicas not asked", "stopped"]
    assert "Connection refused" in lines[1]["reasons"][0]


@pytest.mark.parametrize("number", [socket.EAI_NONAME, socket.EAI_NODATA])
def test_a_name_without_an_address_has_no_ready_replica(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    # What a resolver says depends on the machine; what it means does not.
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(number, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(NoReplicaError, match=r"serving-headless has no address: no such name"):
        resolve("serving-headless", 8000)


def test_a_resolver_that_does_not_answer_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(CallFailedError, match=r"serving-headless cannot be resolved: try again"):
        resolve("serving-headless", 8000)


def test_a_name_has_all_its_addresses() -> None:
    assert "127.0.0.1:8000" in resolve("localhost", 8000)


def test_all_replicas_behind_the_name_are_asked() -> None:
    content = answer(*drawn(300))
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302 if self.server.server_port == redirecting else 200)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(4)]
    redirecting = servers[0].server_port
    for server in servers:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    addresses = [f"127.0.0.1:{server.server_port}" for server in servers] + ["127.0.0.1:1"]
    found = Replicas("x", 1, seconds=2, find=lambda *_: addresses).ask()
    for server in servers:
        server.shutdown()
        server.server_close()
    assert [part[0].rows for part in found.sketches] == [300] * 3
    assert asked == ["/sketches"] * 4
    assert found.failures == [
        f"127.0.0.1:{redirecting}: it answered 302",
        "127.0.0.1:1: Connection refused",
    ]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> stages.Build:
    """The digits, through all stages."""
    model, build = stages.load("digits"), stages.Build(tmp_path_factory.mktemp("build"))
    chosen = params.load("digits", digits.Params)
    stages.prepare(model, build, chosen)
    stages.train(model, build, chosen)
    stages.evaluate(model, build)
    return build


def test_held_out_images_do_not_drift_and_shifted_ones_do(
    built: stages.Build, start: Start, tmp_path: Path, tracking: FakeTracking
) -> None:
    copies = Copies(tmp_path / "cache")
    folder = copies.workspace("digits")
    stages.assemble(stages.load("digits"), built, folder)
    copies.note("digits", copies.keep("digits", "3", package.sha256(folder), folder))
    service = start("service", {"cache_dir": tmp_path / "cache", "sketch_rows": 360})
    wait_until(lambda: service.get("/ready").status_code == 200, "it serves", service.log)
    settings = {
        "service_host": "127.0.0.1", "service_port": service.port, "interval_seconds": 1,
        "registry_uri": tracking.url,
    }  # fmt: skip
    drift = start("drift", settings)
    held_out = preparation.read(built.data, "held_out").pixels

    def later_than(seconds: float) -> None:
        stamp = ("model_drift_checked_timestamp_seconds", "", "")
        wait_until(lambda: drift.series().get(stamp, 0) > seconds, "it has checked", drift.log)

    def send(rows: Any) -> dict[tuple[str, ...], float]:
        for part in np.array_split(rows, 3):
            sent = {"instances": part.tolist()}
            assert httpx.post(f"http://127.0.0.1:{service.port}/predict", json=sent).is_success
        # The check that is under way may have asked before.
        for _ in range(2):
            later_than(time.time())
        return drift.series()

    found = send(held_out)
    assert found["model_drift_samples", "3", ""] == 360
    psi = [value for key, value in found.items() if key[0] == "model_drift_psi"]
    assert len(psi) == 65
    assert max(psi) < 0.25
    assert found["model_drift_ks", "3", "prediction"] < 0.1
    assert tracking.runs == {}
    found = send(16 - held_out)
    psi = [value for key, value in found.items() if key[0] == "model_drift_psi"]
    assert sum(value > 0.25 for value in psi) > 40
    wait_until(lambda: len(tracking.finished()) == 1, "a report is there", drift.log)
    (report,) = tracking.files.values()
    assert b"Drift of digits, version 3" in report
    assert found["model_drift_failures_total", "", ""] == 0
