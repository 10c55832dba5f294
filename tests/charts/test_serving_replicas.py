"""How many pods an install or upgrade asks for; Kubernetes' API is played by a small server."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from kindling import charts

CHART = "serving"
Upgrade = Callable[..., int]

DEPLOYMENTS = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "apps/v1",
    "resources": [
        {
            "name": "deployments",
            "singularName": "deployment",
            "namespaced": True,
            "kind": "Deployment",
            "verbs": ["get"],
        }
    ],
}


def deployment(replicas: int) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": "serving", "namespace": "kindling"},
        "spec": {"replicas": replicas},
    }


@pytest.fixture
def upgrade(helm: Path, tmp_path: Path) -> Iterator[Upgrade]:
    """``upgrade(live, **values)``: the replicas asked for where ``live``, or None, run already."""
    answers: dict[str, Any] = {"/apis/apps/v1": DEPLOYMENTS}

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            missing = {"kind": "Status", "apiVersion": "v1", "code": 404, "reason": "NotFound"}
            answer = answers.get(self.path.partition("?")[0], missing)
            self.send_response(404 if answer is missing else 200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    def asked_for(live: int | None, **values: Any) -> int:
        if live is not None:
            answers["/apis/apps/v1/namespaces/kindling/deployments/serving"] = deployment(live)
        done = subprocess.run(
            [str(helm), "template", "serving", str(charts.CHARTS / CHART), "--namespace=kindling",
             "--dry-run=server", "--show-only=templates/deployment.yaml", "--values=-"],
            input=json.dumps(values), env={**os.environ, "KUBECONFIG": str(config)},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return int(yaml.safe_load(done.stdout)["spec"]["replicas"])

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        config = kubeconfig(tmp_path, f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever).start()
        yield asked_for
        server.shutdown()


def kubeconfig(folder: Path, url: str) -> Path:
    file = folder / "kubeconfig"
    content = {
        "kind": "Config",
        "apiVersion": "v1",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": ""}}],
        "current-context": "c",
    }
    file.write_text(json.dumps(content))
    return file


def test_a_first_install_starts_three_pods(upgrade: Upgrade) -> None:
    assert upgrade(None) == 3


@pytest.mark.parametrize("live", [2, 7])
def test_an_upgrade_keeps_what_the_autoscaler_has_decided(upgrade: Upgrade, live: int) -> None:
    assert upgrade(live) == live


@pytest.mark.parametrize(("live", "asked_for"), [(0, 2), (40, 10)])
def test_an_upgrade_goes_back_into_the_autoscalers_bounds(
    upgrade: Upgrade, live: int, asked_for: int
) -> None:
    assert upgrade(live) == asked_for


def test_an_upgrade_without_autoscaling_sets_the_replica_count(upgrade: Upgrade) -> None:
    assert upgrade(7, autoscaling={"enabled": False}) == 3
