"""What stands around MLflow's app in its image; MLflow itself is not needed here."""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY
from werkzeug.routing import Map, Rule

from kindling import paths

FOLDER = paths.REPOSITORY / "images" / "mlflow"
TRACE = "0af7651916cd43dd8448eb211c80319c"
URL_MAP = Map([Rule("/api/runs/get", methods=["GET"]), Rule("/files/<path:name>/<int:number>")])


@pytest.fixture(scope="module")
def observed() -> Iterator[ModuleType]:
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("observed")
    sys.path.remove(str(FOLDER))


@pytest.fixture
def logs(observed: ModuleType) -> ModuleType:
    return sys.modules["logs"]


@pytest.fixture
def lines(logs: ModuleType) -> Iterator[io.StringIO]:
    """What is logged, as the formatter writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter())
    logger = logging.getLogger("mlflow")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)


def ask(observed: ModuleType, path: str, method: str = "GET", **more: Any) -> list[dict[str, Any]]:
    """Send one request through the middleware; ``answer`` is the status, or what is raised."""
    answer = more.pop("answer", 200)
    route = more.pop("route", None)
    sent: list[dict[str, Any]] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        # As the routers do it.
        scope.update({"route": route} if route else {})
        scope["path"] = "/changed"
        if isinstance(answer, Exception):
            raise answer
        await send({"type": "http.response.start", "status": answer, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], **more}
    wrapped = observed.Observe(app, lambda scope: observed.route_path(scope, URL_MAP))
    asyncio.run(wrapped(scope, None, send))
    return sent


def counted(method: str, status: str, path: str) -> float:
    labels = {"method": method, "status": status, "path": path}
    return REGISTRY.get_sample_value("mlflow_http_requests_total", labels) or 0.0


@pytest.mark.parametrize(
    ("method", "path", "labels"),
    [
        ("GET", "/api/runs/get", ("GET", "/api/runs/get")),
        ("GET", "/files/a/b.txt/7", ("GET", "/files/{name}/{number}")),
        ("POST", "/api/runs/get", ("POST", "other")),
        ("GET", "/nobody/knows/this", ("GET", "other")),
        ("BREW", "/coffee", ("other", "other")),
    ],
)
def test_requests_are_counted_by_route_so_that_no_client_can_make_series(
    observed: ModuleType, method: str, path: str, labels: tuple[str, str]
) -> None:
    before = counted(labels[0], "200", labels[1])
    ask(observed, path, method)
    assert counted(labels[0], "200", labels[1]) == before + 1


def test_a_route_of_fastapi_names_itself(observed: ModuleType) -> None:
    ask(observed, "/a/x/y", route=SimpleNamespace(path="/a/{name:path}"), answer=201)
    assert counted("GET", "201", "/a/{name}") == 1


def test_an_app_that_fails_is_counted_as_500_and_its_time_too(observed: ModuleType) -> None:
    labels = {"method": "GET", "path": "/api/runs/get"}
    name = "mlflow_http_request_duration_seconds_count"
    timed = REGISTRY.get_sample_value(name, labels) or 0.0
    before = counted("GET", "500", "/api/runs/get")
    with pytest.raises(ValueError, match="broken"):
        ask(observed, "/api/runs/get", answer=ValueError("broken"))
    assert counted("GET", "500", "/api/runs/get") == before + 1
    assert REGISTRY.get_sample_value(name, labels) == timed + 1


def test_probes_are_neither_counted_nor_logged(observed: ModuleType, lines: io.StringIO) -> None:
    before = counted("GET", "200", "other")
    assert ask(observed, "/health")[0]["status"] == 200
    assert counted("GET", "200", "other") == before
    assert lines.getvalue() == ""


def test_a_request_has_one_line_without_its_query_and_with_its_trace(
    observed: ModuleType, lines: io.StringIO
) -> None:
    headers = [
        (b"authorization", b"Basic secret"),
        (b"traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode()),
    ]
    ask(observed, "/api/runs/get", headers=headers, query_string=b"token=secret", answer=404)
    (line,) = lines.getvalue().splitlines()
    written = json.loads(line)
    assert written.pop("duration_ms") >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", written.pop("timestamp"))
    assert written == {
        "level": "info",
        "logger": "mlflow.access",
        "message": "request",
        "method": "GET",
        "path": "/api/runs/get",
        "status": 404,
        "trace_id": TRACE,
    }


@pytest.mark.parametrize(
    "value", ["", "x", f"00-{TRACE}", f"00-{TRACE.upper()}-b7ad6b7169203331-01"]
)
def test_what_is_no_trace_is_not_logged(
    observed: ModuleType, lines: io.StringIO, value: str
) -> None:
    ask(observed, "/api/runs/get", headers=[(b"traceparent", value.encode())])
    assert "trace_id" not in json.loads(lines.getvalue())


def test_an_exception_is_one_line_too(logs: ModuleType, lines: io.StringIO) -> None:
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        logging.getLogger("mlflow.server").exception("cannot")
    (line,) = lines.getvalue().splitlines()
    written = json.loads(line)
    assert (written["message"], written["level"]) == ("cannot", "error")
    assert "ValueError: broken" in written["exception"]


def test_what_a_command_prints_becomes_log_lines(logs: ModuleType, lines: io.StringIO) -> None:
    stream = logs.Lines(logging.getLogger("mlflow.serve"))
    print("one\n\ntwo", file=stream)
    messages = [json.loads(line)["message"] for line in lines.getvalue().splitlines()]
    assert messages == ["one", "two"]


def test_uvicorn_logs_in_the_same_way(logs: ModuleType) -> None:
    config = logs.UVICORN
    module, _, name = config["formatters"]["json"]["()"].rpartition(".")
    assert getattr(importlib.import_module(module), name) is logs.JsonFormatter
    assert config["handlers"][config["root"]["handlers"][0]]["formatter"] == "json"


def test_the_image_names_the_app_that_the_server_is_started_with() -> None:
    dockerfile = (FOLDER / "Dockerfile").read_text()
    ((name, module, function),) = re.findall(r"\[mlflow\.app\]\n(\w+) = (\w+):(\w+)", dockerfile)
    assert f'"--app-name={name}"' in (FOLDER / "serve.py").read_text()
    assert f"\ndef {function}(" in (FOLDER / f"{module}.py").read_text()
    (copied,) = re.findall(r"COPY (serve\.py .*) \./", dockerfile)
    assert set(copied.split()) == {file.name for file in FOLDER.glob("*.py")}


_TWO_WORKERS = """
import os, subprocess, sys, urllib.request
import serve
serve._METRICS = serve.Path(sys.argv[2])
serve._serve_metrics(int(sys.argv[1]), os.environ)
work = "import observed; observed.REQUESTS.labels('GET', '200', '/a').inc()"
for _ in range(2):
    subprocess.run([sys.executable, "-c", work], check=True)
print(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/metrics").read().decode())
"""


def test_one_port_answers_for_all_workers_and_forgets_those_of_before(tmp_path: Path) -> None:
    old = tmp_path / "metrics"
    old.mkdir()
    (old / "counter_1.db").write_bytes(b"of a container that is gone")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = subprocess.run(
        [sys.executable, "-c", _TWO_WORKERS, str(port), str(old)],
        env={**os.environ, "PYTHONPATH": str(FOLDER)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 'mlflow_http_requests_total{method="GET",path="/a",status="200"} 2.0' in done.stdout


def test_a_database_that_makes_itself_is_waited_for_and_each_reason_is_logged_once(
    observed: ModuleType, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve = importlib.import_module("serve")
    refused, starting = "Connection refused", "the database system is starting up"
    said, now = [*[refused] * 400, *[starting] * 800], [0.0]

    class OperationalError(Exception):
        """As psycopg's."""

    def connect(url: str, **_: object) -> SimpleNamespace:
        if said:
            raise OperationalError(said.pop(0))
        return SimpleNamespace(close=lambda: None)

    psycopg = SimpleNamespace(OperationalError=OperationalError, connect=connect)
    monkeypatch.setitem(sys.modules, "psycopg", psycopg)
    sleep = lambda seconds: now.__setitem__(0, now[0] + seconds)  # noqa: E731
    monkeypatch.setattr(serve, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    assert serve._answers("postgresql://db")
    assert now[0] == 600
    messages = [json.loads(line)["message"] for line in lines.getvalue().splitlines()]
    assert messages == [f"waiting for the database: {reason}" for reason in (refused, starting)]
    said.extend([refused] * 9999)
    assert not serve._answers("postgresql://db")
    assert f"no database after 900 s: {refused}" in lines.getvalue()
