"""Helm releases on a real cluster: what is unchanged, drifted, pending or gone."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest
from conftest import Cluster

from kindling import helm

CHART = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  word: {{ .Values.word | quote }}
"""


@pytest.fixture
def release(tmp_path: Path, namespace: str) -> helm.Release:
    chart = tmp_path / "tiny"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: tiny, version: 0.1.0}\n")
    (chart / "templates" / "map.yaml").write_text(CHART)
    return helm.Release("tiny", namespace, chart, {"word": "one"})


def carry_out(cluster: Cluster, *releases: helm.Release, remove: bool = False) -> list[helm.Plan]:
    plans = helm.plan(cluster.kubectl, releases, remove=remove)
    helm.Helm(cluster.helm, cluster.kubectl, 60).carry_out(plans, wait=False)
    return plans


def word(cluster: Cluster, release: helm.Release) -> str:
    found = cluster.kubectl.get("configmap", release.name, f"--namespace={release.namespace}")
    return str(found["data"]["word"])


def helm_says(cluster: Cluster, *words: str) -> None:
    from kindling.supply import command

    command.run(
        [cluster.helm, f"--kubeconfig={cluster.kubectl.kubeconfig}",
         f"--kube-context={cluster.kubectl.context}", *words]
    )  # fmt: skip


def test_installed_unchanged_changed_and_removed(cluster: Cluster, release: helm.Release) -> None:
    assert carry_out(cluster, release)[0].changed
    assert word(cluster, release) == "one"
    assert not carry_out(cluster, release)[0].changed
    other = helm.Release(release.name, release.namespace, release.chart, {"word": "two"})
    assert carry_out(cluster, other)[0].changed
    assert word(cluster, release) == "two"
    assert carry_out(cluster, other, remove=True)[0].changed
    assert not carry_out(cluster, other, remove=True)[0].changed


def test_what_somebody_changed_by_hand_is_put_right(
    cluster: Cluster, release: helm.Release
) -> None:
    carry_out(cluster, release)
    helm_says(cluster, "upgrade", release.name, str(release.chart),
              f"--namespace={release.namespace}", "--set=word=mine")  # fmt: skip
    assert word(cluster, release) == "mine"
    assert carry_out(cluster, release)[0].changed
    assert word(cluster, release) == "one"


def test_what_somebody_deleted_is_there_again(cluster: Cluster, release: helm.Release) -> None:
    carry_out(cluster, release)
    cluster.kubectl.check("delete", "configmap", "tiny", f"--namespace={release.namespace}")
    assert carry_out(cluster, release)[0].changed
    assert word(cluster, release) == "one"
    assert not carry_out(cluster, release)[0].changed


@pytest.mark.parametrize("revisions", [1, 2])
def test_a_release_that_a_killed_client_left_pending_is_recovered(
    cluster: Cluster, release: helm.Release, revisions: int
) -> None:
    """Pending as Helm itself stores it: in the label and inside the record."""
    carry_out(cluster, release)
    if revisions == 2:
        release = helm.Release(release.name, release.namespace, release.chart, {"word": "two"})
        carry_out(cluster, release)
    status = "pending-install" if revisions == 1 else "pending-upgrade"
    name = f"sh.helm.release.v1.{release.name}.v{revisions}"
    secret = cluster.kubectl.get("secret", name, f"--namespace={release.namespace}")
    packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
    record = json.loads(gzip.decompress(packed))
    record["info"]["status"] = status
    again = base64.b64encode(gzip.compress(json.dumps(record).encode()))
    secret["data"]["release"] = base64.b64encode(again).decode()
    secret["metadata"]["labels"]["status"] = status
    cluster.kubectl.check("replace", "--filename=-", stdin=json.dumps(secret))

    plan = carry_out(cluster, release)[0]
    assert plan.changed
    assert plan.recovered
    assert word(cluster, release) == release.values["word"]
    assert not carry_out(cluster, release)[0].changed
