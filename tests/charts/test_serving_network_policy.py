from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kindling.errors import KindlingError

CHART = "serving"
Render = Callable[..., dict[str, Any]]


def test_only_the_services_port_is_open_and_only_dns_is_reachable(render: Render) -> None:
    manifests = render()
    policy = manifests["NetworkPolicy"]["spec"]
    assert policy["podSelector"] == manifests["Deployment"]["spec"]["selector"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]
    (dns,) = policy["egress"]
    assert {(each["port"], each["protocol"]) for each in dns["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert dns["to"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ]


def test_callers_can_be_limited_and_the_registry_be_reached(render: Render) -> None:
    caller = {"podSelector": {"matchLabels": {"app": "gateway"}}}
    registry = {"ports": [{"port": 5000, "protocol": "TCP"}]}
    policy = render(networkPolicy={"ingressFrom": [caller], "extraEgress": [registry]})[
        "NetworkPolicy"
    ]["spec"]
    assert policy["ingress"][0]["from"] == [caller]
    assert policy["ingress"][0]["ports"]
    assert policy["egress"][1:] == [registry]


def test_the_policy_can_be_left_out(render: Render) -> None:
    assert "NetworkPolicy" not in render(networkPolicy={"enabled": False})


@pytest.mark.parametrize("rule", ["ingressFrom", "extraEgress"])
def test_rules_of_an_absent_policy_are_refused(render: Render, rule: str) -> None:
    with pytest.raises(KindlingError, match=r"no effect while networkPolicy\.enabled is false"):
        render(networkPolicy={"enabled": False, rule: [{}]})
