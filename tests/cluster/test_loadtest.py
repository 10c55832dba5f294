"""The load test against a real cluster: its command, its verdict, and what it leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from conftest import Cluster
from mlflow import MlflowClient
from monitored import Monitoring

from kindling import paths
from loadtests.report.document import read


def loadtest(report: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``nox -s loadtest -- WORDS``, whatever comes of it."""
    return subprocess.run(
        [sys.executable, "-m", "loadtests", *words, f"--report={report}"],
        cwd=paths.REPOSITORY, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip


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


def test_without_an_autoscaler_it_fails_and_names_that(cluster: Cluster, tmp_path: Path) -> None:
    kept = hpa(cluster)
    fresh = {key: kept[key] for key in ("apiVersion", "kind", "spec")}
    about = kept["metadata"]
    fresh["metadata"] = {
        key: about[key] for key in ("name", "namespace", "labels", "annotations") if key in about
    }
    cluster.kubectl.check("delete", "horizontalpodautoscalers", "serving", "--namespace=kindling")
    try:
        done = loadtest(tmp_path / "report", "scale")
    finally:
        cluster.kubectl.check("create", "--filename=-", stdin=json.dumps(fresh))
    assert done.returncode == 1, done.stdout + done.stderr
    (failed,) = [one for one in read(tmp_path / "report")["checks"] if one["status"] == "failed"]
    assert failed["name"] == "there is an autoscaler"
    assert "no HorizontalPodAutoscaler kindling/serving" in failed["observed"]
