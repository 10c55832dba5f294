from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from manifests import container

from kindling import paths
from kindling.errors import KindlingError

CHART = "drift"
Render = Callable[..., dict[str, Any]]


def test_the_settings_are_those_of_the_program(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(paths.REPOSITORY / "images")])
    from drift.settings import PREFIX, load_settings

    env = container(render())["env"]
    given = {one["name"]: one.get("value", "from a secret") for one in env}
    settings = load_settings(given)
    assert all(name.startswith(PREFIX) for name in given)
    assert (settings.service_host, settings.service_port) == ("serving-headless", 8001)
    assert settings.interval_seconds == 60
    # Numbers as people write them, large ones too.
    large = {
        "intervalSeconds": 1800,
        "minimumRows": 1_000_000,
        "reports": {"intervalSeconds": 2_592_000},
    }
    env = container(render(**large))["env"]
    settings = load_settings({one["name"]: one.get("value", "") for one in env})
    assert (settings.interval_seconds, settings.report_interval_seconds) == (1800, 2_592_000)
    assert settings.minimum_rows == 1_000_000


def test_the_password_comes_from_a_secret(render: Render) -> None:
    env = container(render(registry={"secretName": "s", "passwordKey": "k"}))["env"]
    secrets = [one for one in env if "valueFrom" in one]
    assert secrets == [
        {
            "name": "KINDLING_DRIFT_REGISTRY_PASSWORD",
            "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}},
        }
    ]


def test_the_service_that_it_asks_is_the_headless_one_of_the_serving_chart(template: Any) -> None:
    from kindling import charts

    services = {
        manifest["metadata"]["name"]: manifest["spec"]
        for manifest in template(charts.CHARTS / "serving")
        if manifest["kind"] == "Service"
    }
    (deployment,) = (
        manifest
        for manifest in template(charts.CHARTS / "drift")
        if manifest["kind"] == "Deployment"
    )
    env = {one["name"]: one.get("value") for one in container({"Deployment": deployment})["env"]}
    asked = services[env["KINDLING_DRIFT_SERVICE_HOST"]]
    assert asked["clusterIP"] == "None"
    ports = {port["name"]: port["port"] for port in asked["ports"]}
    assert env["KINDLING_DRIFT_SERVICE_PORT"] == str(ports["metrics"])


def test_prometheus_reads_the_pod(render: Render) -> None:
    manifests = render(podAnnotations={"a": "b"})
    template = manifests["Deployment"]["spec"]["template"]
    port = container(manifests)["ports"][0]["containerPort"]
    assert template["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(port),
        "prometheus.io/path": "/metrics",
        "a": "b",
    }
    selector = manifests["Service"]["spec"]["selector"]
    assert selector.items() <= template["metadata"]["labels"].items()


def test_only_dns_the_service_and_the_registry_are_reachable(render: Render) -> None:
    manifests = render(serving={"port": 8001}, registry={"uri": "https://models.example.com"})
    policy = manifests["NetworkPolicy"]["spec"]
    assert policy["podSelector"] == manifests["Deployment"]["spec"]["selector"]
    assert policy["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    dns, others = policy["egress"]
    assert {one["port"] for one in dns["ports"]} == {53}
    (peer,) = dns["to"]
    assert peer["podSelector"] == {"matchLabels": {"k8s-app": "kube-dns"}}
    assert peer["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "kube-system"
    }
    assert [one["port"] for one in others["ports"]] == [8001, 443]


def test_those_who_may_read_it_are_a_value(render: Render) -> None:
    peer = {"podSelector": {"matchLabels": {"may": "read"}}}
    (rule,) = render(networkPolicy={"ingressFrom": [peer]})["NetworkPolicy"]["spec"]["ingress"]
    assert rule["from"] == [peer]


def test_there_are_never_two_that_report(render: Render) -> None:
    spec = render()["Deployment"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_container_is_confined(render: Render) -> None:
    manifests = render()
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    assert container(manifests)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"networkPolicy": {"enabled": False, "ingressFrom": [{}]}},
            "no effect while networkPolicy.enabled is false",
        ),
        ({"podAnnotations": {"prometheus.io/port": "1"}}, "podAnnotations may not set"),
        ({"registry": {"uri": "mlflow:5000"}}, "uri"),
        ({"minimumRows": 1}, "minimumRows"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(
    render: Render, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(KindlingError, match=message):
        render(**values)
