"""The load test fails, and names what is wrong, when something is: one thing at a time is broken.

Each takes minutes, so they run when they are asked for: ``nox -s tests -- -m sabotage``.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import model_graphs as graphs
import pytest
import yaml
from conftest import Cluster, kindling
from loading import loadtest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from registering import register, tag

from kindling import paths, rules, settings
from loadtests.report.document import read

pytestmark = pytest.mark.sabotage
NAMESPACE = "--namespace=kindling"
HPA = ("horizontalpodautoscalers", "serving")


def failed(report: Path, *words: str) -> dict[str, str]:
    """What a load test that fails says of each assertion that does not hold, by its name."""
    done = loadtest(report, *words)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    checks = read(report)["checks"]
    found = {one["name"]: one["observed"] for one in checks if one["status"] == "failed"}
    for name in found:
        assert name in done.stdout.replace("\n    ", " ")
    return found


def test_without_an_autoscaler(cluster: Cluster, tmp_path: Path) -> None:
    kept = cluster.kubectl.get(*HPA, NAMESPACE)
    fresh = {key: kept[key] for key in ("apiVersion", "kind", "spec")}
    known = ("name", "namespace", "labels", "annotations")
    fresh["metadata"] = {k: v for k, v in kept["metadata"].items() if k in known}
    cluster.kubectl.check("delete", *HPA, NAMESPACE)
    try:
        found = failed(tmp_path, "scale")
    finally:
        cluster.kubectl.check("create", "--filename=-", stdin=json.dumps(fresh))
    assert "no HorizontalPodAutoscaler kindling/serving" in found["there is an autoscaler"]


def test_with_one_pod_at_most(cluster: Cluster, tmp_path: Path) -> None:
    maximum = cluster.kubectl.get(*HPA, NAMESPACE)["spec"]["maxReplicas"]

    def allow(pods: int) -> None:
        patch = json.dumps({"spec": {"maxReplicas": pods}})
        cluster.kubectl.check("patch", *HPA, NAMESPACE, "--type=merge", f"--patch={patch}")

    allow(1)
    try:
        found = failed(tmp_path, "scale")
    finally:
        allow(maximum)
    assert {"asked for 2 pods", "scaled out to 2 pods"} <= found.keys()


def test_with_nodes_that_take_no_pods(cluster: Cluster, tmp_path: Path) -> None:
    nodes = [node["metadata"]["name"] for node in cluster.kubectl.items("nodes")]
    cluster.kubectl.check("cordon", *nodes)
    try:
        found = failed(tmp_path, "scale")
    finally:
        cluster.kubectl.check("uncordon", *nodes)
    assert "unschedulable" in found["every pod got a node"]
    assert "scaled out to 4 pods" in found


@contextmanager
def promoted(mlflow: MlflowClient, graph: bytes) -> Iterator[None]:
    """Another champion of digits, and then the one before it again."""
    before = str(mlflow.get_model_version_by_alias("digits", "champion").version)
    files = graphs.package(0, accuracy=0.99) | {"model.onnx": graph}
    version = register(mlflow, files, tag(files))
    try:
        done = kindling("models", "promote", "digits", version)
        assert done.returncode == 0, done.stderr
        yield
    finally:
        mlflow.set_registered_model_alias("digits", "champion", before)
        mlflow.delete_registered_model_alias("digits", "previous")
        mlflow.delete_model_version("digits", version)


def test_with_a_service_that_answers_the_wrong_class(mlflow: MlflowClient, tmp_path: Path) -> None:
    with promoted(mlflow, graphs.constant(1)):
        found = failed(tmp_path, "scale")
    assert "right about 3" in found["answers are right at rest"]


def test_with_a_service_that_takes_300_ms_longer(mlflow: MlflowClient, tmp_path: Path) -> None:
    champion = mlflow.get_model_version_by_alias("digits", "champion").version
    graph = Path(download_artifacts(artifact_uri=f"models:/digits/{champion}/model.onnx"))
    with promoted(mlflow, graphs.slowed(graph.read_bytes(), seconds=0.3)):
        found = failed(tmp_path, "scale")
    assert "ms of" in found["p95 within the objective"]


@contextmanager
def prometheus(**values: Any) -> Iterator[list[str]]:
    """Arguments for an inventory with other values of Prometheus' chart; undone in the end."""
    usual = copy.deepcopy(settings.load("local")["prometheus_values"])
    merged = _merged(usual, values)
    try:
        yield ["-e", f"prometheus_values={json.dumps(merged)}"]
    finally:
        done = kindling("run", "prometheus")
        assert done.returncode == 0, done.stdout + done.stderr


def _merged(one: Any, other: Any) -> Any:
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return other
    return one | {key: _merged(one.get(key), value) for key, value in other.items()}


def test_with_a_rule_that_asks_for_more_errors_than_there_are(
    cluster: Cluster, tmp_path: Path
) -> None:
    folder = paths.REPOSITORY / "charts" / "prometheus" / "rules"
    (file,) = [one for one in folder.glob("*.yml") if "alert: HighErrorRate" in one.read_text()]
    changed = yaml.safe_load(rules.shortened(file.read_text(), 10, floor=20))
    for group in changed["groups"]:
        for rule in group["rules"]:
            if rule.get("alert") == "HighErrorRate":
                assert "> 0.05" in rule["expr"]
                rule["expr"] = rule["expr"].replace("> 0.05", "> 1.05")
            # Ansible would take what is in braces for its own.
            rule.pop("annotations", None)
    with prometheus(rules={"overrides": {file.name: yaml.safe_dump(changed)}}) as words:
        found = failed(tmp_path, "alerts", *words)
    assert found["HighErrorRate pended"] == "inactive throughout"


def test_with_an_alertmanager_that_tells_nobody(cluster: Cluster, tmp_path: Path) -> None:
    soon = {"group_wait": "1s", "group_interval": "5s", "repeat_interval": "1h"}
    config = {"route": {"receiver": "nobody", **soon}, "receivers": [{"name": "nobody"}]}
    name = "alertmanager-without-a-route"
    cluster.kubectl.check(
        "create", "secret", "generic", name, NAMESPACE,
        f"--from-literal=alertmanager.yml={yaml.safe_dump(config)}",
    )  # fmt: skip
    try:
        with prometheus(alertmanager={"configSecret": name}) as words:
            found = failed(tmp_path, "alerts", *words)
    finally:
        cluster.kubectl.check("delete", "secret", name, NAMESPACE)
    assert found["HighErrorRate was notified"] == "not"
    assert "HighErrorRate fired in time" not in found
