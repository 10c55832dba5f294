from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from manifests import env, pod

from kindling.errors import KindlingError

CHART = "mlflow"
Render = Callable[..., dict[str, Any]]


def test_every_password_comes_from_a_secret(render: Render) -> None:
    given = env(render(database={"secretName": "db", "passwordKey": "p"}, auth={"secretName": "a"}))
    taken = {
        name: (ref["name"], ref["key"])
        for name, one in given.items()
        if (ref := one.get("valueFrom", {}).get("secretKeyRef"))
    }
    assert taken == {
        "DATABASE_PASSWORD": ("db", "p"),
        "ADMIN_PASSWORD": ("a", "admin-password"),
        "READER_PASSWORD": ("a", "reader-password"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": ("a", "flask-secret-key"),
    }


def test_it_may_be_called_by_its_own_names_and_by_those_that_are_given(render: Render) -> None:
    value = env(render(allowedHosts=["models.example.com"]))["MLFLOW_SERVER_ALLOWED_HOSTS"]["value"]
    hosts = value.split(",")
    for name in ("127.0.0.1", "mlflow", "mlflow.kindling", "mlflow.kindling.svc"):
        assert {name, f"{name}:*"} <= set(hosts)
    assert hosts[-1] == "models.example.com"
    assert "*" not in hosts


def test_the_administrator_cannot_be_the_reader(render: Render) -> None:
    with pytest.raises(KindlingError, match="readerUsername"):
        render(auth={"readerUsername": "admin"})


def test_two_servers_never_share_the_volume_or_the_schema(render: Render) -> None:
    deployment = render()["Deployment"]["spec"]
    assert deployment["replicas"] == 1
    assert deployment["strategy"] == {"type": "Recreate"}


def test_artifacts_are_on_a_volume_that_outlives_the_release(render: Render) -> None:
    annotations = {"volumeType": "local"}
    manifests = render(storage={"size": "7Gi", "className": "fast", "annotations": annotations})
    claim = manifests["PersistentVolumeClaim"]
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep", **annotations}
    assert claim["spec"]["resources"]["requests"]["storage"] == "7Gi"
    assert claim["spec"]["storageClassName"] == "fast"
    volumes = {one["name"]: one for one in pod(manifests)["volumes"]}
    assert volumes["artifacts"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (container,) = pod(manifests)["containers"]
    (mounted,) = (m["mountPath"] for m in container["volumeMounts"] if m["name"] == "artifacts")
    assert f"--artifacts-destination={mounted}/artifacts" in container["args"]


def test_only_dns_and_the_database_are_reachable(render: Render) -> None:
    manifests = render(database={"port": 6432})
    policy = manifests["NetworkPolicy"]["spec"]
    assert policy["ingress"] == [
        {"ports": [{"port": port, "protocol": "TCP"}]} for port in ("http", "metrics")
    ]
    dns, database = policy["egress"]
    assert {one["port"] for one in dns["ports"]} == {53}
    assert database == {"ports": [{"port": 6432, "protocol": "TCP"}]}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"service": {"nodePort": 30500}}, "nodePort has no effect with service.type ClusterIP"),
        (
            {"networkPolicy": {"enabled": False, "ingressFrom": [{}]}},
            "ingressFrom has no effect while networkPolicy.enabled is false",
        ),
        (
            {"networkPolicy": {"enabled": False, "metricsFrom": [{}]}},
            "metricsFrom has no effect while networkPolicy.enabled is false",
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused(
    render: Render, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(KindlingError, match=message):
        render(**values)


def test_its_metrics_are_on_a_port_that_the_service_does_not_have(render: Render) -> None:
    peer = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}
    manifests = render(networkPolicy={"metricsFrom": [peer]})
    (container,) = pod(manifests)["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    annotations = manifests["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(ports["metrics"]),
    }
    assert env(manifests)["METRICS_PORT"]["value"] == str(ports["metrics"])
    assert [port["targetPort"] for port in manifests["Service"]["spec"]["ports"]] == ["http"]
    _, metrics = manifests["NetworkPolicy"]["spec"]["ingress"]
    assert metrics["from"] == [peer]


def test_the_container_is_confined(render: Render) -> None:
    manifests = render()
    (container,) = pod(manifests)["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod(manifests)["securityContext"]["runAsNonRoot"] is True
    assert pod(manifests)["automountServiceAccountToken"] is False
