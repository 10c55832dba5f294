from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kindling.errors import KindlingError

CHART = "postgresql"
Render = Callable[..., dict[str, Any]]


def container(manifests: dict[str, Any]) -> dict[str, Any]:
    (one,) = manifests["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = one
    return found


def test_the_password_is_a_file_out_of_the_secret(render: Render) -> None:
    manifests = render(auth={"secretName": "s", "passwordKey": "k"})
    env = {one["name"]: one["value"] for one in container(manifests)["env"]}
    mounts = {one["name"]: one["mountPath"] for one in container(manifests)["volumeMounts"]}
    volumes = manifests["StatefulSet"]["spec"]["template"]["spec"]["volumes"]
    (secret,) = (one["secret"] for one in volumes if "secret" in one)
    assert secret == {"secretName": "s", "items": [{"key": "k", "path": "password"}]}
    assert env["POSTGRES_PASSWORD_FILE"] == f"{mounts['password']}/password"


def test_the_database_is_below_the_volumes_root(render: Render) -> None:
    manifests = render(storage={"size": "7Gi", "className": "fast"})
    env = {one["name"]: one["value"] for one in container(manifests)["env"]}
    mounts = {one["name"]: one["mountPath"] for one in container(manifests)["volumeMounts"]}
    assert env["PGDATA"].startswith(f"{mounts['data']}/")
    (claim,) = manifests["StatefulSet"]["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "data"
    assert claim["spec"]["resources"]["requests"]["storage"] == "7Gi"
    assert claim["spec"]["storageClassName"] == "fast"


def test_parameters_become_arguments_of_the_server(render: Render) -> None:
    args = container(render(parameters={"max_connections": "7"}))["args"]
    assert args == ["postgres", "-c", "max_connections=7"]


def test_it_is_ready_when_its_own_database_answers(render: Render) -> None:
    shown = container(render(auth={"database": "d", "username": "u"}))
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        command = shown[probe]["exec"]["command"]
        assert command[0] == "pg_isready"
        assert {"--username=u", "--dbname=d"} <= set(command)


def test_only_mlflow_may_connect_and_it_reaches_nothing(render: Render) -> None:
    policy = render()["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "mlflow"}}}]
    assert rule["ports"] == [{"port": "postgresql", "protocol": "TCP"}]


def test_peers_of_an_absent_policy_are_refused(render: Render) -> None:
    with pytest.raises(KindlingError, match=r"no effect while networkPolicy\.enabled is false"):
        render(networkPolicy={"enabled": False, "ingressFrom": [{}]})


def test_the_container_is_confined(render: Render) -> None:
    manifests = render()
    assert container(manifests)["securityContext"]["readOnlyRootFilesystem"] is True
    assert container(manifests)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    spec = manifests["StatefulSet"]["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
