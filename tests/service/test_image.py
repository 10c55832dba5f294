"""What the Dockerfile promises, as far as it can be told without an engine."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2 as httpx
from conftest import ROOT, Server, wait_until
from fake_registry import FakeRegistry
from model_graphs import package

from service.schemas import EXAMPLE_ROW
from service.settings import Settings

Serve = Callable[..., Server]


def instructions() -> list[str]:
    """The Dockerfile's instructions, each on one line."""
    text = (ROOT / "service" / "Dockerfile").read_text()
    whole = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "")
    return [line for line in whole.splitlines() if line]


def last_stage() -> list[str]:
    lines = instructions()
    starts = [number for number, line in enumerate(lines) if line.startswith("FROM ")]
    return lines[starts[-1] :]


def check_health(**environment: str) -> int:
    """The exit code of the image's health check."""
    (line,) = [line for line in instructions() if line.startswith("HEALTHCHECK ")]
    _, *arguments = json.loads(line.partition(" CMD ")[2])
    environment = {**os.environ, "http_proxy": "http://127.0.0.1:9", **environment}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, stderr=subprocess.DEVNULL).returncode


def test_the_health_check_asks_the_port_that_the_service_listens_on(serve: Serve) -> None:
    port = serve().url.rpartition(":")[2]
    assert check_health(KINDLING_SERVICE_LISTEN_PORT=port) == 0


def test_the_health_check_fails_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert check_health(KINDLING_SERVICE_LISTEN_PORT=str(port)) != 0


def test_the_health_check_knows_the_default_port() -> None:
    (line,) = [line for line in instructions() if line.startswith("HEALTHCHECK ")]
    assert f"get('KINDLING_SERVICE_LISTEN_PORT', '{Settings().listen_port}')" in line


def test_the_bases_installers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    site = "usr/local/lib/python3.13/site-packages"
    installers = [
        "usr/local/bin/pip3.13",
        "usr/local/lib/python3.13/ensurepip/_bundled/pip-25.3-py3-none-any.whl",
        f"{site}/pip/__init__.py",
        f"{site}/pip-25.3.dist-info/RECORD",
        f"{site}/setuptools/__init__.py",
        "usr/lib/python3.13/ensurepip/__init__.py",
        "usr/share/python-wheels/setuptools-78.1.1-py3-none-any.whl",
    ]
    others = ["usr/bin/python3", "usr/lib/python3.13/pipes.py", f"{site}/README.txt"]
    for name in installers + others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (line,) = [
        line for line in instructions() if line.startswith("RUN ") and "python-wheels" in line
    ]
    remove = line.removeprefix("RUN ").partition("python3 ")[0]
    assert "find /usr " in remove
    subprocess.run(["sh", "-c", remove.replace("/usr", f"'{tmp_path}'/usr")], check=True)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(others)


def test_no_layer_of_the_base_is_in_the_image_and_programs_are_still_found() -> None:
    stage = last_stage()
    assert stage[0] == "FROM scratch"
    assert "COPY --from=runtime / /" in stage
    (variables,) = [line for line in stage if line.startswith("ENV ")]
    path = re.findall(r" PATH=(\S+)", variables)[0].split(":")
    assert path[:2] == ["/opt/venv/bin", "/usr/local/bin"]
    assert {"/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/sbin"} < set(path)


# Runs the service or the check, and says at the end which modules it has.
MODULES = """
import sys
from {module} import main
code = main({arguments})
with open({out!r}, "w") as file:
    file.write("\\n".join(name for name, module in sys.modules.items() if name != "__main__"
                          and getattr(module, "__file__", None)))
sys.exit(code)
"""


def test_all_that_is_imported_while_serving_is_there_as_bytecode(
    serve: Serve, registry: FakeRegistry, tmp_path: Path
) -> None:
    (line,) = [line for line in instructions() if line.startswith("ARG START=")]
    code = line.removeprefix("ARG START=").strip('"')
    compiled = {"codecs", *modules(f"{code}; import sys; print(*sys.modules, sep=chr(10))")}
    out = tmp_path / "modules"
    program = MODULES.format(module="service.__main__", arguments="", out=str(out))
    server = serve(
        ("-c", program),
        registry_uri=registry.url,
        poll_seconds=0.1,
        drain_seconds=0,
        otlp_endpoint=f"{registry.url}/v1/traces",
        trace_sample_ratio=1,
        feedback_key="a key of sixteen",
        upstream_url=registry.url,
    )
    registry.publish("digits", package(1))
    for path in ("docs", "metrics", "openapi.json", "nothing", "v1/models"):
        httpx.get(f"{server.url}/{path}")
    answer = httpx.post(f"{server.url}/predict", json={"instances": [EXAMPLE_ROW]}).json()
    known = {"id": answer["prediction_id"], "labels": [1]}
    assert httpx.post(f"{server.url}/feedback", json=known).status_code == 200
    chat = {"model": "upstream", "messages": [{"role": "user", "content": "a"}]}
    assert httpx.post(f"{server.url}/v1/chat/completions", json=chat).status_code == 502
    httpx.get(f"{server.url}/metrics", headers={"Accept": "application/openmetrics-text"})
    wait_until(lambda: httpx.get(f"{server.url}/ready").json()["version"] == "1", "it follows")
    server.process.terminate()
    assert server.process.wait(20) == 0
    # A small one that the framework imports with the first request, and calls its own.
    late = {"fastapi.telemetry._runtime"}
    assert set(out.read_text().split()) - compiled <= late
    for name, content in package(1).items():
        (tmp_path / name).write_bytes(content)
    arguments = repr([str(tmp_path), "digits"])
    program = MODULES.format(module="service.check", arguments=arguments, out="/dev/stdout")
    assert set(modules(program)) - compiled == set()


def modules(program: str) -> list[str]:
    """The names that a program prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=60
    )
    return done.stdout.decode().split()


def test_the_folder_for_copies_belongs_to_who_serves() -> None:
    folder = Settings().cache_dir
    (line,) = [line for line in instructions() if f"mkdir -p {folder}" in line]
    (user,) = [line.split()[1] for line in last_stage() if line.startswith("USER ")]
    assert f"chown {user} {folder}" in line


def test_the_image_has_nothing_of_the_pipeline_and_no_model() -> None:
    ignored = (ROOT / "service" / "Dockerfile.dockerignore").read_text().split()
    assert ignored == ["*", "!service/*.py", "!service/requirements.txt"]
    assert not [line for line in instructions() if "pipeline" in line or "/opt/model" in line]
