from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kindling.errors import KindlingError

CHART = "serving"
Render = Callable[..., dict[str, Any]]


def test_production_gets_a_load_balancer_on_port_80(render: Render) -> None:
    service = render()["Service/serving"]["spec"]
    assert service["type"] == "LoadBalancer"
    assert service["ports"] == [
        {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}
    ]


def test_the_service_selects_the_pods_of_its_release(render: Render) -> None:
    manifests = render()
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert manifests["Service/serving"]["spec"]["selector"].items() <= labels.items()
    assert manifests["Service/serving"]["spec"]["selector"]


def test_a_fixed_node_port_is_kept(render: Render) -> None:
    service = render(service={"type": "NodePort", "nodePort": 30080})["Service/serving"]["spec"]
    assert service["type"] == "NodePort"
    assert service["ports"][0]["nodePort"] == 30080


def test_a_node_port_without_a_type_that_has_one_is_refused(render: Render) -> None:
    with pytest.raises(KindlingError, match=r"nodePort has no effect with service\.type ClusterIP"):
        render(service={"type": "ClusterIP", "nodePort": 30080})


@pytest.mark.parametrize("kind", ["NodePort", "ClusterIP"])
def test_source_ranges_without_a_load_balancer_are_refused(render: Render, kind: str) -> None:
    with pytest.raises(KindlingError, match=f"loadBalancerSourceRanges has no effect.*{kind}"):
        render(service={"type": kind, "loadBalancerSourceRanges": ["10.0.0.0/8"]})


def test_a_load_balancer_can_be_closed_to_other_networks(render: Render) -> None:
    service = render(service={"loadBalancerSourceRanges": ["10.0.0.0/8"]})["Service/serving"][
        "spec"
    ]
    assert service["loadBalancerSourceRanges"] == ["10.0.0.0/8"]


def test_cloud_annotations_reach_service_and_account(render: Render) -> None:
    manifests = render(
        service={"annotations": {"a": "1"}}, serviceAccount={"annotations": {"b": "2"}}
    )
    assert manifests["Service/serving"]["metadata"]["annotations"] == {"a": "1"}
    assert manifests["ServiceAccount"]["metadata"]["annotations"] == {"b": "2"}


def test_the_headless_service_has_the_addresses_of_the_ready_pods(render: Render) -> None:
    manifests = render()
    headless, service = manifests["Service/serving-headless"]["spec"], manifests["Service/serving"]
    assert headless["clusterIP"] == "None"
    assert headless["publishNotReadyAddresses"] is False
    assert headless["selector"] == service["spec"]["selector"]
    assert headless["ports"] == [
        {"name": "http", "port": 8000, "targetPort": "http", "protocol": "TCP"},
        {"name": "metrics", "port": 8001, "targetPort": "metrics", "protocol": "TCP"},
    ]
