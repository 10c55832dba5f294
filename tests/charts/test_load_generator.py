"""Pods that only wait, may do nothing, and reach the model service alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from manifests import assert_confined, container

CHART = "load-generator"
Render = Callable[..., dict[str, Any]]


def test_its_pods_are_confined_and_offer_nothing(render: Render) -> None:
    rendered = render()
    assert_confined(rendered)
    assert not {"ports", "env"} & container(rendered).keys()
    assert "Service" not in rendered


def test_they_reach_the_model_service_and_names_alone(render: Render) -> None:
    spec = render(networkPolicy={"servingName": "other"})["NetworkPolicy"]["spec"]
    assert (spec["policyTypes"], spec["ingress"]) == (["Ingress", "Egress"], [])
    names, service = spec["egress"]
    assert {(port["port"], port["protocol"]) for port in names["ports"]} == {
        (53, "UDP"), (53, "TCP"),
    }  # fmt: skip
    assert service == {
        "to": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "other"}}}]
    }
    assert "NetworkPolicy" not in render(networkPolicy={"enabled": False})


def test_there_are_as_many_as_are_asked_for_on_different_nodes(render: Render) -> None:
    deployment = render(replicas=3)["Deployment"]["spec"]
    assert deployment["replicas"] == 3
    (spread,) = deployment["template"]["spec"]["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["labelSelector"] == deployment["selector"]
