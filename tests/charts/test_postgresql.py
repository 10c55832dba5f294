from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kindling import paths
from kindling.errors import KindlingError

CHART = "postgresql"
Render = Callable[..., dict[str, Any]]


def container(manifests: dict[str, Any]) -> dict[str, Any]:
    return containers(manifests)["postgresql"]


def containers(manifests: dict[str, Any]) -> dict[str, dict[str, Any]]:
    spec = manifests["StatefulSet"]["spec"]["template"]["spec"]
    return {one["name"]: one for one in spec["containers"]}


def test_passwords_are_files_out_of_the_secret(render: Render) -> None:
    manifests = render(
        auth={"secretName": "s", "passwordKey": "k", "superuserPasswordKey": "r"},
        exporter={"passwordKey": "e"},
    )
    env = {one["name"]: one["value"] for one in container(manifests)["env"]}
    mounts = {one["name"]: one["mountPath"] for one in container(manifests)["volumeMounts"]}
    volumes = manifests["StatefulSet"]["spec"]["template"]["spec"]["volumes"]
    secrets = {one["name"]: one["secret"] for one in volumes if "secret" in one}
    assert {one["secretName"] for one in secrets.values()} == {"s"}
    files = {"k": "password", "r": "superuser", "e": "exporter"}
    assert {one["key"]: one["path"] for one in secrets["password"]["items"]} == files
    assert env["POSTGRES_PASSWORD_FILE"] == f"{mounts['password']}/superuser"


def test_roles_are_set_before_the_server_starts_in_the_same_volume(render: Render) -> None:
    manifests = render(auth={"database": "d", "username": "u"}, exporter={"username": "x"})
    (roles,) = manifests["StatefulSet"]["spec"]["template"]["spec"]["initContainers"]
    server = container(manifests)
    for key in ("image", "imagePullPolicy", "volumeMounts", "securityContext", "resources"):
        assert roles[key] == server[key]
    env = {one["name"]: one["value"] for one in roles["env"]}
    assert {one["name"]: one["value"] for one in server["env"]}.items() <= env.items()
    mounts = {one["name"]: one["mountPath"] for one in roles["volumeMounts"]}
    assert env["PASSWORDS"] == mounts["password"]
    assert (env["POSTGRES_DB"], env["POSTGRES_USER"], env["DATABASE_OWNER"], env["EXPORTER"]) == (
        "d", "postgres", "u", "x",
    )  # fmt: skip
    script = (paths.REPOSITORY / "charts" / "postgresql" / "files" / "roles.sh").read_text()
    assert roles["command"][:2] == ["sh", "-c"]
    assert roles["command"][2].strip() == script.strip()


@pytest.mark.parametrize("name", ["postgres", "exporter"])
def test_an_owner_who_is_somebody_else_too_is_refused(render: Render, name: str) -> None:
    with pytest.raises(KindlingError, match=r"auth\.username is the owner's role"):
        render(auth={"username": name})


def test_the_database_is_below_the_volumes_root(render: Render) -> None:
    manifests = render(storage={"size": "7Gi", "className": "fast"})
    env = {one["name"]: one["value"] for one in container(manifests)["env"]}
    mounts = {one["name"]: one["mountPath"] for one in container(manifests)["volumeMounts"]}
    assert env["PGDATA"].startswith(f"{mounts['data']}/")
    (claim,) = manifests["StatefulSet"]["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "data"
    assert claim["spec"]["resources"]["requests"]["storage"] == "7Gi"
    assert claim["spec"]["storageClassName"] == "fast"
    assert "annotations" not in claim["metadata"]
    manifests = render(storage={"annotations": {"volumeType": "local"}})
    (claim,) = manifests["StatefulSet"]["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["annotations"] == {"volumeType": "local"}


def test_a_later_start_leaves_the_permissions_of_the_databases_folder(render: Render) -> None:
    security = render()["StatefulSet"]["spec"]["template"]["spec"]["securityContext"]
    assert security["fsGroupChangePolicy"] == "OnRootMismatch"


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
    rule, metrics = policy["ingress"]
    assert metrics == {"ports": [{"port": "metrics", "protocol": "TCP"}]}
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "mlflow"}}}]
    assert rule["ports"] == [{"port": "postgresql", "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"networkPolicy": {"enabled": False, "ingressFrom": [{}]}},
            "no effect while networkPolicy.enabled is false",
        ),
        (
            {"exporter": {"enabled": False}, "networkPolicy": {"metricsFrom": [{}]}},
            "no effect unless networkPolicy.enabled and exporter.enabled are true",
        ),
    ],
)
def test_peers_of_what_is_not_there_are_refused(
    render: Render, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(KindlingError, match=message):
        render(**values)


def test_its_metrics_are_exported_by_a_container_that_has_the_password_as_a_file(
    render: Render,
) -> None:
    manifests = render(auth={"database": "d", "username": "u"})
    server, exporter = container(manifests), containers(manifests)["exporter"]
    assert exporter["image"] == "quay.io/prometheuscommunity/postgres-exporter:v0.17.1"
    given = {one["name"]: one["value"] for one in exporter["env"]}
    (port,) = (p["containerPort"] for p in server["ports"])
    assert given == {
        "DATA_SOURCE_URI": f"127.0.0.1:{port}/d?sslmode=disable",
        "DATA_SOURCE_USER": "exporter",
        "DATA_SOURCE_PASS_FILE": "/run/secrets/postgresql/exporter",
    }
    # It gets its own password, and no other.
    (mount,) = exporter["volumeMounts"]
    volumes = manifests["StatefulSet"]["spec"]["template"]["spec"]["volumes"]
    (items,) = [one["secret"]["items"] for one in volumes if one["name"] == mount["name"]]
    assert items == [{"key": "exporter-password", "path": "exporter"}]
    assert exporter["securityContext"] == server["securityContext"]
    annotations = manifests["StatefulSet"]["spec"]["template"]["metadata"]["annotations"]
    (port,) = (p["containerPort"] for p in exporter["ports"])
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/port"] == str(port)
    # `kubectl exec` and the backup mean the server.
    assert annotations["kubectl.kubernetes.io/default-container"] == "postgresql"


def test_the_server_is_ready_whatever_becomes_of_its_metrics(render: Render) -> None:
    assert "readinessProbe" not in containers(render())["exporter"]


def test_without_the_exporter_nothing_of_it_is_left(render: Render) -> None:
    manifests = render(exporter={"enabled": False})
    assert list(containers(manifests)) == ["postgresql"]
    assert "exporter-password" not in str(manifests)
    (roles,) = manifests["StatefulSet"]["spec"]["template"]["spec"]["initContainers"]
    assert {"name": "EXPORTER", "value": ""} in roles["env"]
    assert len(manifests["NetworkPolicy"]["spec"]["ingress"]) == 1
    template = manifests["StatefulSet"]["spec"]["template"]["metadata"]
    assert "prometheus.io/scrape" not in template["annotations"]


def test_the_container_is_confined(render: Render) -> None:
    manifests = render()
    assert container(manifests)["securityContext"]["readOnlyRootFilesystem"] is True
    assert container(manifests)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    spec = manifests["StatefulSet"]["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
