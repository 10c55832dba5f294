from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from manifests import container, pod

from kindling.errors import KindlingError

CHART = "node-exporter"
Render = Callable[..., dict[str, Any]]


def argument(manifests: dict[str, Any], flag: str) -> str:
    (found,) = (a for a in container(manifests)["args"] if a.startswith(f"--{flag}="))
    return str(found.partition("=")[2])


def test_the_default_image_is_the_upstream_one(render: Render) -> None:
    assert container(render())["image"] == "quay.io/prometheus/node-exporter:v1.12.1"


def test_it_runs_on_every_node_whatever_its_taints(render: Render) -> None:
    assert pod(render())["tolerations"] == [{"operator": "Exists"}]


def test_it_reads_the_node_and_not_its_own_container(render: Render) -> None:
    manifests = render()
    (mount,) = container(manifests)["volumeMounts"]
    assert mount["readOnly"] is True
    assert pod(manifests)["volumes"] == [
        {"name": mount["name"], "hostPath": {"path": "/", "type": "Directory"}}
    ]
    assert argument(manifests, "path.rootfs") == mount["mountPath"]
    assert argument(manifests, "path.procfs") == f"{mount['mountPath']}/proc"
    assert argument(manifests, "path.sysfs") == f"{mount['mountPath']}/sys"


def test_it_shares_no_namespace_with_the_node_and_has_no_privilege(render: Render) -> None:
    manifests = render()
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod(manifests).keys()
    assert pod(manifests)["securityContext"]["runAsNonRoot"] is True
    assert pod(manifests)["automountServiceAccountToken"] is False
    assert container(manifests)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_only_the_collectors_that_are_named_run(render: Render) -> None:
    args = container(render(collectors=["cpu", "time"]))["args"]
    assert "--collector.disable-defaults" in args
    chosen = [
        a for a in args if a.startswith("--collector.") and a != "--collector.disable-defaults"
    ]
    assert chosen == ["--collector.cpu", "--collector.time"]


@pytest.mark.parametrize("collector", ["netdev", "netstat", "uname", "textfile"])
def test_collectors_that_would_show_the_pod_itself_are_refused(
    render: Render, collector: str
) -> None:
    with pytest.raises(KindlingError, match="collectors"):
        render(collectors=[collector])


def test_mounts_of_pods_have_no_metrics_and_those_of_the_node_do(render: Render) -> None:
    excluded = re.compile(argument(render(), "collector.filesystem.mount-points-exclude"))
    volume = "/var/lib/kubelet/pods/1/volumes/a"
    for mount in (volume, "/run/secrets", "/proc", "/sys/fs/cgroup", "/etc/hosts"):
        assert excluded.search(mount), mount
    for mount in ("/", "/var", "/var/lib/kubelet", "/srv/data", "/etc/hosts.d"):
        assert not excluded.search(mount), mount


def test_mount_points_of_a_collector_that_does_not_run_are_refused(render: Render) -> None:
    with pytest.raises(KindlingError, match="no effect without the collector filesystem"):
        render(collectors=["cpu"], excludedMountPoints="^/x")


def test_prometheus_reads_its_port_and_only_that_is_open(render: Render) -> None:
    manifests = render()
    annotations = manifests["DaemonSet"]["spec"]["template"]["metadata"]["annotations"]
    (port,) = container(manifests)["ports"]
    assert annotations == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(port["containerPort"]),
    }
    policy = manifests["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"ports": [{"port": port["name"], "protocol": "TCP"}]}]
    assert "egress" not in policy
