from __future__ import annotations

from collections.abc import Callable
from typing import Any

CHART = "metrics-server"
Render = Callable[..., dict[str, Any]]


def test_the_metrics_api_is_served_by_the_charts_service(render: Render) -> None:
    manifests = render()
    api = manifests["APIService"]
    service = manifests["Service"]
    assert api["metadata"]["name"] == "v1beta1.metrics.k8s.io"
    assert (api["spec"]["group"], api["spec"]["version"]) == ("metrics.k8s.io", "v1beta1")
    # Its certificate is self-signed.
    assert api["spec"]["insecureSkipTLSVerify"] is True
    assert api["spec"]["service"] == {
        "name": service["metadata"]["name"],
        "namespace": service["metadata"]["namespace"],
        "port": service["spec"]["ports"][0]["port"],
    }


def test_the_service_leads_to_the_pods_secure_port(render: Render) -> None:
    manifests = render()
    template = manifests["Deployment"]["spec"]["template"]
    (port,) = manifests["Service"]["spec"]["ports"]
    assert port["targetPort"] == template["spec"]["containers"][0]["ports"][0]["name"]
    selector = manifests["Service"]["spec"]["selector"]
    assert selector
    assert selector.items() <= template["metadata"]["labels"].items()


def test_only_the_secure_port_is_open(render: Render) -> None:
    manifests = render()
    policy = manifests["NetworkPolicy"]["spec"]
    assert policy == {
        "podSelector": manifests["Deployment"]["spec"]["selector"],
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": "https", "protocol": "TCP"}]}],
    }


def test_the_server_may_read_no_more_than_upstream_grants(render: Render) -> None:
    rules = render()["ClusterRole/system:metrics-server"]["rules"]
    assert rules == [
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
    ]


def test_whoever_may_view_a_namespace_may_read_its_metrics(render: Render) -> None:
    role = render()["ClusterRole/system:aggregated-metrics-reader"]
    for name in ("view", "edit", "admin"):
        assert (
            role["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{name}"] == "true"
        )
    assert role["rules"] == [
        {
            "apiGroups": ["metrics.k8s.io"],
            "resources": ["pods", "nodes"],
            "verbs": ["get", "list", "watch"],
        }
    ]


def test_every_binding_names_the_charts_account(render: Render) -> None:
    manifests = render()
    bindings = {
        manifest["metadata"]["name"]: manifest
        for manifest in manifests.values()
        if manifest["kind"].endswith("RoleBinding")
    }
    assert {name: each["roleRef"]["name"] for name, each in bindings.items()} == {
        "system:metrics-server": "system:metrics-server",
        "metrics-server:system:auth-delegator": "system:auth-delegator",
        "metrics-server-auth-reader": "extension-apiserver-authentication-reader",
    }
    assert bindings["metrics-server-auth-reader"]["metadata"]["namespace"] == "kube-system"
    account = manifests["ServiceAccount"]["metadata"]
    for binding in bindings.values():
        assert binding["subjects"] == [
            {
                "kind": "ServiceAccount",
                "name": account["name"],
                "namespace": account["namespace"],
            }
        ]
