from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from manifests import container, pod

from kindling import charts
from kindling.errors import KindlingError

CHART = "kube-state-metrics"
Render = Callable[..., dict[str, Any]]


def test_the_default_image_is_the_upstream_one(render: Render) -> None:
    name = "registry.k8s.io/kube-state-metrics/kube-state-metrics"
    assert container(render())["image"].rpartition(":")[0] == name


def test_it_may_list_and_watch_what_it_exports_and_nothing_else(render: Render) -> None:
    manifests = render(collectors=["pods", "deployments", "horizontalpodautoscalers"])
    assert manifests["ClusterRole"]["rules"] == [
        {"apiGroups": [group], "resources": [kind], "verbs": ["list", "watch"]}
        for group, kind in (
            ("apps", "deployments"),
            ("autoscaling", "horizontalpodautoscalers"),
            ("", "pods"),
        )
    ]
    assert "--resources=deployments,horizontalpodautoscalers,pods" in container(manifests)["args"]
    binding, account = manifests["ClusterRoleBinding"], manifests["ServiceAccount"]["metadata"]
    assert binding["roleRef"]["name"] == manifests["ClusterRole"]["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]
    assert pod(manifests)["serviceAccountName"] == account["name"]


def test_no_secret_can_be_asked_for(render: Render) -> None:
    with pytest.raises(KindlingError, match="collectors"):
        render(collectors=["secrets"])


def test_every_kind_that_may_be_chosen_is_exported_by_default(render: Render) -> None:
    schema = json.loads((charts.CHARTS / CHART / "values.schema.json").read_text())
    every = schema["properties"]["collectors"]["items"]["enum"]
    assert f"--resources={','.join(every)}" in container(render())["args"]


def test_prometheus_reads_it(render: Render) -> None:
    manifests = render(podAnnotations={"a": "b"})
    annotations = manifests["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    (port,) = (p for p in container(manifests)["ports"] if p["name"] == "metrics")
    assert annotations == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(port["containerPort"]),
        "a": "b",
    }
    assert f"--port={port['containerPort']}" in container(manifests)["args"]


def test_it_is_ready_once_it_has_read_everything(render: Render) -> None:
    shown = container(render())
    assert shown["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "telemetry"}
    assert shown["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    ports = {port["name"]: port["containerPort"] for port in shown["ports"]}
    assert f"--telemetry-port={ports['telemetry']}" in shown["args"]


def test_no_two_pods_export_the_same_series(render: Render) -> None:
    deployment = render()["Deployment"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})


def test_only_the_port_that_prometheus_reads_is_open(render: Render) -> None:
    peer = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}
    policy = render(networkPolicy={"ingressFrom": [peer]})["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    assert policy["ingress"] == [
        {"ports": [{"port": "metrics", "protocol": "TCP"}], "from": [peer]}
    ]


def test_peers_of_an_absent_policy_are_refused(render: Render) -> None:
    with pytest.raises(KindlingError, match=r"no effect while networkPolicy\.enabled is false"):
        render(networkPolicy={"enabled": False, "ingressFrom": [{}]})


def test_the_container_is_confined(render: Render) -> None:
    manifests = render()
    assert container(manifests)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(manifests)["securityContext"]["runAsNonRoot"] is True
    assert pod(manifests)["enableServiceLinks"] is False
