from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from manifests import assert_confined, container, pod

from kindling.errors import KindlingError

CHART = "metrics-server"
Render = Callable[..., dict[str, Any]]


def test_kubelet_certificates_are_checked_unless_asked_otherwise(render: Render) -> None:
    arguments = [
        "--cert-dir=/tmp",
        "--secure-port=10250",
        "--kubelet-preferred-address-types=InternalIP",
        "--kubelet-use-node-status-port",
        "--metric-resolution=10s",
        "--kubelet-request-timeout=5s",
    ]
    assert container(render())["args"] == arguments
    local = render(kubeletInsecureTLS=True)
    assert container(local)["args"] == [*arguments, "--kubelet-insecure-tls"]


def test_the_default_image_is_the_upstream_one(render: Render) -> None:
    assert container(render())["image"] == "registry.k8s.io/metrics-server/metrics-server:v0.9.0"


def test_the_largest_timeout_that_metrics_server_takes_is_accepted(render: Render) -> None:
    render(kubeletRequestTimeoutSeconds=9)


def test_a_timeout_that_metrics_server_would_refuse_is_refused(render: Render) -> None:
    with pytest.raises(KindlingError, match=r"\(10\) is more than nine tenths of .* \(11\)"):
        render(kubeletRequestTimeoutSeconds=10, metricResolutionSeconds=11)


def test_a_resolution_below_ten_seconds_is_refused(render: Render) -> None:
    with pytest.raises(KindlingError, match="metricResolutionSeconds"):
        render(metricResolutionSeconds=9)


def test_readiness_is_asked_at_once_and_every_second(render: Render) -> None:
    probe = container(render())["readinessProbe"]
    assert probe["httpGet"] == {"path": "/readyz", "port": "https", "scheme": "HTTPS"}
    assert probe["periodSeconds"] == 1
    assert "initialDelaySeconds" not in probe


def test_a_slow_answer_does_not_make_a_ready_pod_unready(render: Render) -> None:
    probe = container(render())["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 30
    assert probe["timeoutSeconds"] == 5


def test_liveness_is_asked_over_https(render: Render) -> None:
    probe = container(render())["livenessProbe"]
    assert probe["httpGet"] == {"path": "/livez", "port": "https", "scheme": "HTTPS"}


def test_metrics_stay_available_during_a_rollout(render: Render) -> None:
    strategy = render()["Deployment"]["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_the_pod_uses_the_account_that_has_the_rights(render: Render) -> None:
    manifests = render()
    account = manifests["ServiceAccount"]["metadata"]["name"]
    assert pod(manifests)["serviceAccountName"] == account


def test_the_pod_is_hardened_and_critical(render: Render) -> None:
    manifests = render()
    assert pod(manifests)["priorityClassName"] == "system-cluster-critical"
    assert_confined(manifests)
    assert pod(manifests)["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}}]
    assert container(manifests)["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
