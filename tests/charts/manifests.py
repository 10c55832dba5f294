"""The parts of what a chart renders that tests look at."""

from __future__ import annotations

from typing import Any

_WORKLOADS = ("Deployment", "DaemonSet")


def pod(manifests: dict[str, Any]) -> Any:
    """The spec of the pods of the one workload."""
    (kind,) = (kind for kind in _WORKLOADS if kind in manifests)
    return manifests[kind]["spec"]["template"]["spec"]


def container(manifests: dict[str, Any]) -> Any:
    """Their one container."""
    (only,) = pod(manifests)["containers"]
    return only


def env(manifests: dict[str, Any]) -> dict[str, Any]:
    """Its environment, by the names of variables."""
    return {one["name"]: one for one in container(manifests)["env"]}


def assert_confined(manifests: dict[str, Any]) -> None:
    """The pod and its container meet the restricted Pod Security Standard."""
    assert pod(manifests)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(manifests)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
