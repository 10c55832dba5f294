from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from manifests import container, pod

from kindling import paths
from kindling.errors import KindlingError

CHART = "gpu-device-plugin"
Render = Callable[..., dict[str, Any]]


def test_it_runs_on_nodes_with_simulated_gpus_whatever_their_taints(render: Render) -> None:
    manifests = render()
    assert pod(manifests)["nodeSelector"] == {"kindling.dev/gpu": "simulated"}
    assert pod(manifests)["tolerations"] == [{"operator": "Exists"}]


def test_it_cannot_be_let_loose_on_all_nodes(render: Render) -> None:
    with pytest.raises(KindlingError, match="nodeSelector"):
        render(nodeSelector={"kindling.dev/gpu": None})


def test_it_is_told_its_node_and_what_to_pretend(render: Render) -> None:
    shown = container(render(product="Other-GPU", memoryMiB=2000000))
    assert shown["args"] == [
        "--node-name=$(NODE_NAME)",
        "--count-label=kindling.dev/gpu-count",
        "--product=Other-GPU",
        "--memory-mib=2000000",
        "--metrics-port=9400",
    ]
    assert shown["env"] == [
        {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    ]


@pytest.mark.parametrize("product", ["Simulated GPU", "", "-GPU", "x" * 64])
def test_a_product_that_no_label_can_hold_is_refused(render: Render, product: str) -> None:
    with pytest.raises(KindlingError, match="product"):
        render(product=product)


def test_it_reaches_two_folders_of_the_kubelet_and_nothing_else_of_the_host(
    render: Render,
) -> None:
    manifests = render()
    names = ("device-plugins", "pod-resources")
    folders = {name: f"/var/lib/kubelet/{name}" for name in names}
    assert pod(manifests)["volumes"] == [
        {"name": name, "hostPath": {"path": folders[name], "type": "Directory"}} for name in names
    ]
    # The kubelet's socket can be called, not replaced.
    assert container(manifests)["volumeMounts"] == [
        {"name": "device-plugins", "mountPath": folders["device-plugins"]},
        {"name": "pod-resources", "mountPath": folders["pod-resources"], "readOnly": True},
    ]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod(manifests).keys()


def test_root_is_its_only_privilege(render: Render) -> None:
    manifests = render()
    assert pod(manifests)["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(manifests)["securityContext"] == {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_it_may_change_its_own_node_and_there_its_own_labels_alone(render: Render) -> None:
    manifests = render()
    policy = manifests["ValidatingAdmissionPolicy"]["spec"]
    account = manifests["ServiceAccount"]["metadata"]
    (condition,) = policy["matchConditions"]
    name = f"system:serviceaccount:{account['namespace']}:{account['name']}"
    assert condition["expression"] == f"request.userInfo.username == '{name}'"
    (rule,) = policy["matchConstraints"]["resourceRules"]
    assert (rule["resources"], rule["operations"]) == (["nodes"], ["UPDATE"])
    assert policy["failurePolicy"] == "Fail"
    own_node, own_labels = (one["expression"] for one in policy["validations"])
    assert "['authentication.kubernetes.io/node-name'][0] == object.metadata.name" in own_node
    assert "object.spec == oldObject.spec" in own_labels
    source = paths.REPOSITORY / "images/go/cluster/cmd/gpu-device-plugin/labels.go"
    labels = re.findall(r'^\t\t"([\w./-]+)":', source.read_text(), re.MULTILINE)
    assert len(labels) > 5
    for label in labels:
        assert label.startswith("nvidia.com/") or f"key == '{label}'" in own_labels
    binding = manifests["ValidatingAdmissionPolicyBinding"]["spec"]
    assert binding == {
        "policyName": manifests["ValidatingAdmissionPolicy"]["metadata"]["name"],
        "validationActions": ["Deny"],
    }


def test_everything_says_that_the_gpus_are_simulated(render: Render) -> None:
    daemon_set = render()["DaemonSet"]
    for metadata in (daemon_set["metadata"], daemon_set["spec"]["template"]["metadata"]):
        assert metadata["labels"]["kindling.dev/simulated"] == "true"
        assert metadata["annotations"]["kindling.dev/simulated"] == "true"


def test_it_may_read_and_label_nodes_and_nothing_more(render: Render) -> None:
    manifests = render()
    role, binding = manifests["ClusterRole"], manifests["ClusterRoleBinding"]
    assert role["rules"] == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"]}]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    account = manifests["ServiceAccount"]["metadata"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]
    assert pod(manifests)["serviceAccountName"] == account["name"]


def test_prometheus_reads_its_metrics_and_nothing_else_is_open(render: Render) -> None:
    peer = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}
    manifests = render(networkPolicy={"ingressFrom": [peer]})
    annotations = manifests["DaemonSet"]["spec"]["template"]["metadata"]["annotations"]
    (port,) = container(manifests)["ports"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/port"] == str(port["containerPort"])
    assert f"--metrics-port={port['containerPort']}" in container(manifests)["args"]
    assert manifests["NetworkPolicy"]["spec"] == {
        "podSelector": manifests["DaemonSet"]["spec"]["selector"],
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": port["name"], "protocol": "TCP"}], "from": [peer]}],
    }
