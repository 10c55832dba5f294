from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from manifests import assert_confined, container, pod

from kindling.errors import KindlingError

CHART = "prometheus-adapter"
Render = Callable[..., dict[str, Any]]
GROUP = "custom.metrics.k8s.io"


def rules(manifests: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(manifests["ConfigMap"]["data"]["config.yaml"])[
        "rules"
    ]
    return found


def query(rule: dict[str, Any], *pods: str) -> str:
    """What the rule asks Prometheus about these pods; prometheus-adapter fills it in like this."""
    series = rule["seriesQuery"].partition("{")[0]
    matchers = f'namespace="kindling",pod=~"{"|".join(pods)}"'
    parts = {"Series": series, "LabelMatchers": matchers, "GroupBy": "pod"}
    text: str = rule["metricsQuery"]
    for name, value in parts.items():
        text = text.replace(f"<<.{name}>>", value)
    assert "<<" not in text
    return text


def test_both_versions_of_the_api_are_served_by_the_charts_service(render: Render) -> None:
    manifests = render()
    service = manifests["Service"]
    for version in ("v1beta1", "v1beta2"):
        api = manifests[f"APIService/{version}.{GROUP}"]["spec"]
        assert (api["group"], api["version"]) == (GROUP, version)
        # Its certificate is self-signed.
        assert api["insecureSkipTLSVerify"] is True
        assert api["service"] == {
            "name": service["metadata"]["name"],
            "namespace": service["metadata"]["namespace"],
            "port": service["spec"]["ports"][0]["port"],
        }


def test_the_service_leads_to_the_pods_secure_port_and_no_other_is_open(render: Render) -> None:
    manifests = render()
    (port,) = manifests["Service"]["spec"]["ports"]
    (own,) = container(manifests)["ports"]
    assert port["targetPort"] == own["name"]
    assert f"--secure-port={own['containerPort']}" in container(manifests)["args"]
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert manifests["Service"]["spec"]["selector"].items() <= labels.items()
    assert manifests["NetworkPolicy"]["spec"] == {
        "podSelector": manifests["Deployment"]["spec"]["selector"],
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": own["name"], "protocol": "TCP"}]}],
    }


def test_a_gauge_is_served_as_its_latest_sample(render: Render) -> None:
    (rule,) = rules(render(sampleMaxAgeSeconds=9))
    assert rule["seriesQuery"] == 'http_requests_in_flight{namespace!="",pod!=""}'
    assert rule["resources"]["overrides"] == {
        "namespace": {"resource": "namespace"},
        "pod": {"resource": "pod"},
    }
    assert query(rule, "a", "b") == (
        "sum by (pod) (last_over_time("
        'http_requests_in_flight{namespace="kindling",pod=~"a|b"}[9s]))'
    )


def test_every_gauge_has_its_rule_and_another_pod_reads_it(render: Render) -> None:
    two = render(podGauges=["a", "b_c"])
    assert [re.split("[{]", rule["seriesQuery"])[0] for rule in rules(two)] == ["a", "b_c"]

    def checksum(manifests: dict[str, Any]) -> Any:
        template = manifests["Deployment"]["spec"]["template"]
        return template["metadata"]["annotations"]["checksum/config"]

    assert checksum(two) != checksum(render())


def test_it_may_list_pods_and_nothing_else(render: Render) -> None:
    manifests = render()
    role = manifests["ClusterRole/kindling:prometheus-adapter"]
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]


def test_every_binding_names_the_charts_account(render: Render) -> None:
    manifests = render()
    account = manifests["ServiceAccount"]["metadata"]
    bound = {
        one["metadata"]["name"]: one
        for one in manifests.values()
        if one["kind"].endswith("RoleBinding")
    }
    assert {name: one["roleRef"]["name"] for name, one in bound.items()} == {
        "kindling:prometheus-adapter": "kindling:prometheus-adapter",
        "kindling:prometheus-adapter:auth-delegator": "system:auth-delegator",
        "prometheus-adapter-auth-reader": "extension-apiserver-authentication-reader",
    }
    assert bound["prometheus-adapter-auth-reader"]["metadata"]["namespace"] == "kube-system"
    for one in bound.values():
        assert one["subjects"] == [
            {
                "kind": "ServiceAccount",
                "name": account["name"],
                "namespace": account["namespace"],
            }
        ]
    assert pod(manifests)["serviceAccountName"] == account["name"]


def test_whoever_may_view_a_namespace_may_read_its_gauges(render: Render) -> None:
    role = render(podGauges=["a", "b"])["ClusterRole/kindling:prometheus-adapter:reader"]
    for name in ("view", "edit", "admin"):
        assert (
            role["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{name}"] == "true"
        )
    assert role["rules"] == [
        {"apiGroups": [GROUP], "resources": ["pods/a", "pods/b"], "verbs": ["get"]}
    ]


def test_the_default_image_is_the_upstream_one(render: Render) -> None:
    name = "registry.k8s.io/prometheus-adapter/prometheus-adapter:v0.12.0"
    assert container(render())["image"] == name


def test_the_pod_is_hardened(render: Render) -> None:
    manifests = render()
    assert_confined(manifests)
    writable = [
        mount["mountPath"]
        for mount in container(manifests)["volumeMounts"]
        if not mount.get("readOnly")
    ]
    assert writable == ["/tmp"]
    assert "--cert-dir=/tmp" in container(manifests)["args"]


def test_an_age_that_the_program_would_refuse_is_refused(render: Render) -> None:
    render(knownForSeconds=30)
    with pytest.raises(KindlingError, match=r"\(29\) is less than relistIntervalSeconds \(30\)"):
        render(knownForSeconds=29)


def test_a_name_that_is_no_gauges_is_refused(render: Render) -> None:
    for wrong in (["a{}"], [], ["a", "a"]):
        with pytest.raises(KindlingError, match="podGauges"):
            render(podGauges=wrong)
