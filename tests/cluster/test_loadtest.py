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


def test_pods_of_the_cluster_send_the_load_and_are_gone_then(
    cluster: Cluster, tmp_path: Path
) -> None:
    done = loadtest(tmp_path, "smoke", "--pods=2", "--rate=20", "--users=8", "--seconds=10")
    assert done.returncode == 0, done.stdout + done.stderr
    report = read(tmp_path)
    assert report["verdict"] == "passed"
    assert report["generator"]["about"] == {"processes": 2, "where": "2 pods of the cluster"}
    assert report["totals"]["requests"] == 200
    kinds = "deployments,networkpolicies,serviceaccounts"
    selector = "--selector=app.kubernetes.io/name=load-generator"
    assert not cluster.kubectl.items(kinds, "--namespace=kindling", selector)
    helm = cluster.kubectl.items("secrets", "--namespace=kindling", "--selector=owner=helm")
    assert "load-generator" not in {secret["metadata"]["labels"]["name"] for secret in helm}
