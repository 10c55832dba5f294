"""Versions in the real registry that try to do harm: every pod refuses them and serves on."""

from __future__ import annotations

import base64
import json
import os
import pickle
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import model_graphs as graphs
import pytest
from cluster_load import Load
from conftest import Cluster, eventually
from mlflow import MlflowClient
from registering import register, tag

from kindling.pods import ServingPod, serving_pods

MARKER = "/tmp/kindling-test-marker"
GOOD = graphs.package(1)


class Touch:
    """Touches the marker where it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, (f"touch {MARKER}",)


def case(files: dict[str, bytes], reason: str, sha256: str | None = None) -> Any:
    return files, tag(files) if sha256 is None else sha256, reason


PICKLE = pickle.dumps(Touch())
CORPUS = {
    "a pickle by its name": case({**GOOD, "model.pkl": PICKLE}, "only ONNX packages"),
    "a pickle in place of a graph": case({**GOOD, "model.onnx": PICKLE}, "can be run"),
    "a pickle in place of the descriptor": case({**GOOD, "model.json": PICKLE}, "not valid"),
    "other content than was registered": case(
        GOOD, "not the one whose SHA-256", tag(GOOD, model__onnx="0" * 64)
    ),
    "a name that leads up": case(
        GOOD, "only ONNX packages", json.dumps({"../../../etc/passwd": "0" * 64})
    ),
    "weights in a file of the host": case(
        {**GOOD, "model.onnx": graphs.outside("../../../etc/passwd")}, "External data path"
    ),
    "a terabyte out of nothing": case({**GOOD, "model.onnx": graphs.bloated(2**20)}, "memory"),
    "a gigabyte out of nothing": case({**GOOD, "model.onnx": graphs.bloated(2**10)}, "memory"),
    "another signature": case(
        {**GOOD, "model.json": graphs.describe(classifier={
            "features": 63, "minimum": 0, "maximum": 16, "classes": 10})},
        "has input",
    ),
}  # fmt: skip


@pytest.fixture
def champion(mlflow: MlflowClient) -> Iterator[str]:
    """The version served; it is the champion again afterwards.

    It is the previous one too, as after `nox -s promote`: a pod that starts meanwhile serves it.
    """
    aliases = mlflow.get_registered_model("digits").aliases
    version = str(aliases["champion"])
    mlflow.set_registered_model_alias("digits", "previous", version)
    yield version
    mlflow.set_registered_model_alias("digits", "champion", version)
    if "previous" in aliases:
        mlflow.set_registered_model_alias("digits", "previous", aliases["previous"])
    else:
        mlflow.delete_registered_model_alias("digits", "previous")


def restarted(cluster: Cluster) -> dict[str, int]:
    """How often each pod of the service was restarted."""
    pods = cluster.kubectl.items(
        "pods", "--namespace=kindling", "--selector=app.kubernetes.io/name=serving"
    )
    return {
        pod["metadata"]["name"]: one["restartCount"]
        for pod in pods
        for one in pod["status"].get("containerStatuses", [])
    }


@pytest.mark.parametrize("name", CORPUS)
def test_it_is_refused_with_a_reason_and_the_champion_is_served_on(
    cluster: Cluster, mlflow: MlflowClient, holdout: dict[str, Any], champion: str, name: str
) -> None:
    files, sha256, reason = CORPUS[name]
    restarts = restarted(cluster)
    version = register(mlflow, files, sha256)
    body = json.dumps(holdout["request"]).encode()

    def refused() -> dict[ServingPod, str]:
        said = {
            pod: pod.model("digits").get("refused") or {} for pod in serving_pods(cluster.kubectl)
        }
        if not all(one.get("version") == version for one in said.values()):
            return {}
        return {pod: str(one["reason"]) for pod, one in said.items()}

    try:
        with Load(cluster.url, body, threads=1, pause=0.1) as load:
            mlflow.set_registered_model_alias("digits", "champion", version)
            said = eventually(refused, seconds=90, what=f"every pod refuses version {version}")
    finally:
        mlflow.set_registered_model_alias("digits", "champion", champion)
        mlflow.delete_model_version("digits", version)
    assert isinstance(said, dict)
    assert all(reason in why for why in said.values()), said
    assert load.failed == []
    assert load.versions == [champion]
    with urllib.request.urlopen(f"{cluster.url}/ready", timeout=10) as answer:
        assert answer.status == 200
    there = {pod.name for pod in serving_pods(cluster.kubectl)}
    for pod in (pod for pod in said if pod.name in there):
        found = cluster.kubectl.run(
            "exec", pod.name, f"--namespace={pod.namespace}", "--", "ls", MARKER
        )
        assert found.returncode != 0, f"{MARKER} is there in {pod.name}"
        log = cluster.kubectl.check("logs", pod.name, f"--namespace={pod.namespace}", "--since=5m")
        assert "model refused" in log
        assert reason in log
    assert not Path(MARKER).exists()
    after = restarted(cluster)
    assert {name: after[name] for name in restarts if name in after}.items() <= restarts.items()


def test_the_accounts_password_is_in_no_log(cluster: Cluster) -> None:
    secret = cluster.kubectl.get("secret", "mlflow", "--namespace=kindling")
    values = [base64.b64decode(value).decode() for value in secret["data"].values()]
    for deployment in ("serving", "mlflow"):
        log = cluster.kubectl.check("logs", f"deployment/{deployment}", "--namespace=kindling")
        assert not any(value in log for value in values)
