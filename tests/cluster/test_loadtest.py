"""The load test against a real cluster: its command, its verdict, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from conftest import Cluster
from loading import loadtest
from mlflow import MlflowClient
from monitored import Monitoring

from loadtests.report.document import read


def hpa(cluster: Cluster) -> Any:
    return cluster.kubectl.get("horizontalpodautoscalers", "serving", "--namespace=kindling")


def test_it_passes_scales_fires_an_alert_and_leaves_all_as_it_was(
    cluster: Cluster, mlflow: MlflowClient, tmp_path: Path
) -> None:
    spec = hpa(cluster)["spec"]
    rules = Monitoring(cluster).ask("rules", type="alert")
    aliases = mlflow.get_registered_model("digits").aliases
    versions = len(mlflow.search_model_versions("name = 'digits'"))
    done = loadtest(tmp_path / "report")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    report = read(tmp_path / "report")
    assert report["verdict"] == "passed"
    assert {check["status"] for check in report["checks"]} == {"passed"}
    assert [one["name"] for one in report["scenarios"]] == ["scale", "alerts"]
    assert report["totals"]["replicas"]["max"] == spec["maxReplicas"]
    suites = ElementTree.parse(tmp_path / "report" / "junit.xml").getroot()
    assert {suite.get("failures") for suite in suites} == {"0"}
    assert hpa(cluster)["spec"] == spec
    assert mlflow.get_registered_model("digits").aliases == aliases
    assert len(mlflow.search_model_versions("name = 'digits'")) == versions
    waits = [one["duration"] for group in rules["groups"] for one in group["rules"]]
    now = Monitoring(cluster).ask("rules", type="alert")
    assert [one["duration"] for group in now["groups"] for one in group["rules"]] == waits
