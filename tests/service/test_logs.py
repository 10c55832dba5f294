"""Log lines: JSON, and nothing in them that a client sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2 as httpx
import onnxruntime as ort
import pytest
from conftest import Server, wait_until
from fake_registry import FakeRegistry

from service.errors import ModelInvalidError
from service.onnx import open_session
from service.schemas import EXAMPLE_ROW
from service.settings import Settings

Serve = Callable[..., Server]

# The service with a model that fails on one row, and gives nonsense for more.
FAILING = """
import sys
from service import __main__ as command

class Failing:
    def __init__(self, *_, **__): pass
    def load(self): pass
    def warm(self): pass
    def predict(self, rows, options):
        if len(rows) > 1:
            return None, None
        raise RuntimeError("the model is broken")

from service import classifier
classifier.Classifier = Failing
sys.exit(command.main())
"""


def test_log_lines_are_json_without_what_was_sent(serve: Serve) -> None:
    server = serve()
    httpx.post(f"{server.url}/predict?token=in-query", json={"instances": "in-body"})
    wait_until(lambda: "/predict" in server.log.read_text(), "the request is logged", server.log)
    lines = [line for line in server.log_lines() if line.get("path") == "/predict"]
    assert len(lines) == 1
    assert lines[0]["status"] == 422
    assert lines[0]["duration_ms"] > 0
    assert "in-query" not in server.log.read_text()
    assert "in-body" not in server.log.read_text()


def test_a_line_is_of_bounded_length_and_probes_have_none(serve: Serve) -> None:
    server = serve(drain_seconds=0)
    for path in ("health", "x" * 3000):
        httpx.get(f"{server.url}/{path}")
    server.process.terminate()
    assert server.process.wait(20) == 0
    # Before the model is loaded /ready is answered with 503, and what fails is logged.
    assert [
        (len(line["path"]), line["status"])
        for line in server.log_lines()
        if line.get("status", 503) != 503
    ] == [(200, 404)]


def test_a_traceback_is_logged_without_what_was_sent(serve: Serve) -> None:
    server = serve(("-c", FAILING))
    row = [13.0625, *EXAMPLE_ROW[1:]]
    codes = []
    for rows in ([row], [row, row]):
        answer = httpx.post(
            f"{server.url}/predict",
            json={"instances": rows},
            headers={"Authorization": "Bearer in-header"},
        )
        codes.append(answer.json()["error"]["code"])
    assert codes == ["prediction_failed", "internal"]
    wait_until(lambda: len(tracebacks(server)) == 2, "both are logged", server.log)
    foreseen, unforeseen = tracebacks(server)
    assert foreseen[0]["exc_value"] == "the model is broken"
    assert unforeseen[0]["exc_type"] == "TypeError"
    assert all(raised["frames"] for raised in (*foreseen, *unforeseen))
    assert "13.0625" not in server.log.read_text()
    assert "in-header" not in server.log.read_text()


def tracebacks(server: Server) -> list[list[dict[str, Any]]]:
    """The exceptions that the server logged, each with those that it came from."""
    return [line["exception"] for line in server.log_lines() if "exception" in line]


def test_the_registrys_password_is_nowhere(
    serve: Serve, registry: FakeRegistry, package: dict[str, bytes]
) -> None:
    registry.user, registry.password = "kindling", "in-settings"
    registry.publish("digits", package)
    access = {"registry_username": "kindling", "registry_password": "wrong-in-settings"}
    server = serve(registry_uri=registry.url, log_level="debug", poll_seconds=0.1, **access)
    wait_until(lambda: "401" in httpx.get(f"{server.url}/ready").text, "it has asked", server.log)
    wait_until(lambda: "registry unreachable" in server.log.read_text(), "it says so", server.log)
    for page in ("ready", "metrics", "openapi.json"):
        assert "in-settings" not in httpx.get(f"{server.url}/{page}").text
    assert server.log_lines()
    assert "in-settings" not in server.log.read_text()
    assert "in-settings" not in repr(Settings(**access))


def test_the_runtime_prints_nothing_beside_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(ort.InferenceSession, "_create_inference_session", fail)
    with pytest.raises(ModelInvalidError, match="no such luck"):
        open_session(b"", intra_op_threads=1)
    assert capsys.readouterr().out == ""
