from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kindling.errors import KindlingError

CHART = "serving"
Render = Callable[..., dict[str, Any]]


def test_only_its_ports_are_open_and_only_dns_and_the_registry_are_reachable(
    render: Render,
) -> None:
    manifests = render()
    policy = manifests["NetworkPolicy"]["spec"]
    assert policy["podSelector"] == manifests["Deployment"]["spec"]["selector"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [
        {"ports": [{"port": "http", "protocol": "TCP"}]},
        {"ports": [{"port": "metrics", "protocol": "TCP"}], "from": [{"podSelector": {}}]},
    ]
    dns, registry = policy["egress"]
    assert registry == {"ports": [{"port": 5000, "protocol": "TCP"}]}
    assert {(each["port"], each["protocol"]) for each in dns["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert dns["to"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ]


@pytest.mark.parametrize(
    ("uri", "port"),
    [
        ("http://mlflow:5001", 5001),
        ("https://models.example.com", 443),
        ("http://models.example.com/mlflow", 80),
        ("https://models.example.com:8443/mlflow", 8443),
    ],
)
def test_the_registrys_port_is_that_of_its_url(render: Render, uri: str, port: int) -> None:
    _, registry = render(registry={"uri": uri})["NetworkPolicy"]["spec"]["egress"]
    assert registry["ports"] == [{"port": port, "protocol": "TCP"}]


def test_the_port_of_traces_is_open_where_it_is_another(render: Render) -> None:
    tracing = {"endpoint": "http://collector:4318/v1/traces"}
    _, both = render(tracing=tracing)["NetworkPolicy"]["spec"]["egress"]
    assert [port["port"] for port in both["ports"]] == [5000, 4318]
    _, registry = render(tracing={"enabled": False})["NetworkPolicy"]["spec"]["egress"]
    assert [port["port"] for port in registry["ports"]] == [5000]


def test_callers_can_be_limited_and_more_be_reached(render: Render) -> None:
    caller = {"podSelector": {"matchLabels": {"app": "gateway"}}}
    more = {"ports": [{"port": 4317, "protocol": "TCP"}]}
    scraper = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    rules = {"ingressFrom": [caller], "metricsFrom": [scraper], "extraEgress": [more]}
    policy = render(networkPolicy=rules)["NetworkPolicy"]["spec"]
    assert [rule["from"] for rule in policy["ingress"]] == [[caller], [scraper]]
    assert policy["ingress"][0]["ports"]
    assert policy["egress"][2:] == [more]


def test_the_policy_can_be_left_out(render: Render) -> None:
    assert "NetworkPolicy" not in render(networkPolicy={"enabled": False})


@pytest.mark.parametrize("rule", ["ingressFrom", "metricsFrom", "extraEgress"])
def test_rules_of_an_absent_policy_are_refused(render: Render, rule: str) -> None:
    with pytest.raises(KindlingError, match=r"no effect while networkPolicy\.enabled is false"):
        render(networkPolicy={"enabled": False, rule: [{}]})
