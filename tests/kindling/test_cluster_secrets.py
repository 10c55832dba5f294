"""Generated Secrets: made once, completed, never changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted import Scripted, fails, ok, scripted

from kindling import cluster_secrets
from kindling.cluster_secrets import Wanted
from kindling.errors import KindlingError
from kindling.kubectl import Kubectl


class Cluster:
    """Secrets in memory, by namespace and name."""

    def __init__(self) -> None:
        self.secrets: dict[tuple[str, str], dict[str, str]] = {}

    def api(self) -> Cluster:
        return self

    def items(self, path: str, **selectors: str) -> list[dict[str, Any]]:
        assert (path, selectors) == ("/api/v1/secrets", {"fieldSelector": "type=Opaque"})
        return [
            {"metadata": {"namespace": where, "name": name}, "data": data}
            for (where, name), data in self.secrets.items()
        ]

    def check(self, *args: str, stdin: str = "", **_: Any) -> str:
        if args[:2] == ("create", "namespace"):
            return ""
        given = json.loads(stdin)
        if args[0] == "create":
            about = given["metadata"]
            if (about["namespace"], about["name"]) in self.secrets:
                raise KindlingError("Error from server (AlreadyExists): it is there")
            self.secrets[about["namespace"], about["name"]] = given["stringData"]
        else:
            self.secrets[args[3].removeprefix("--namespace="), args[2]] |= given["stringData"]
        return ""


def ensure(cluster: Any, *wanted: Wanted) -> dict[Wanted, list[str]]:
    lacking = cluster_secrets.missing(cluster, wanted)
    cluster_secrets.generate(cluster, lacking)
    return lacking


def test_what_is_missing_is_generated_once() -> None:
    cluster, wanted = Cluster(), Wanted("mlflow", "kindling", ("a", "b"))
    assert ensure(cluster, wanted) == {wanted: ["a", "b"]}
    first = dict(cluster.secrets["kindling", "mlflow"])
    assert len(set(first.values())) == 2
    for value in first.values():
        assert len(value) == 32
        assert value.isalnum()
        assert value[0].isalpha()
    assert ensure(cluster, wanted) == {}
    assert cluster.secrets["kindling", "mlflow"] == first


def test_a_new_key_is_added_and_the_others_stay() -> None:
    cluster = Cluster()
    ensure(cluster, Wanted("mlflow", "kindling", ("a",)))
    first = cluster.secrets["kindling", "mlflow"]["a"]
    more = Wanted("mlflow", "kindling", ("a", "b"))
    assert ensure(cluster, more) == {more: ["b"]}
    assert cluster.secrets["kindling", "mlflow"]["a"] == first
    assert cluster.secrets["kindling", "mlflow"]["b"]


def test_the_same_name_elsewhere_is_another_secret() -> None:
    cluster = Cluster()
    ensure(cluster, Wanted("mlflow", "one", ("a",)))
    other = Wanted("mlflow", "two", ("a",))
    assert ensure(cluster, other) == {other: ["a"]}


def workload(name: str, namespace: str = "kindling", **spec: Any) -> dict[str, Any]:
    container = {"name": "main", **spec.pop("container", {})}
    template = {"spec": {"containers": [container], **spec}}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"template": template}}


def of_key(key: str, secret: str = "postgresql") -> dict[str, Any]:
    return {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}]}


def mounted(*keys: str) -> list[dict[str, Any]]:
    items = {"items": [{"key": key, "path": "p"} for key in keys]} if keys else {}
    return [{"name": "data"}, {"name": "s", "secret": {"secretName": "postgresql", **items}}]


class Running(Cluster):
    """One with workloads, which notes what is restarted."""

    def __init__(self, *deployments: dict[str, Any]) -> None:
        super().__init__()
        self.deployments, self.restarted = deployments, list[str]()

    def items(self, path: str, **selectors: str) -> list[dict[str, Any]]:
        if path.startswith("/apis/apps/v1/"):
            return list(self.deployments) if path.endswith("/deployments") else []
        return super().items(path, **selectors)

    def check(self, *args: str, stdin: str = "", **more: Any) -> str:
        if args[:2] == ("rollout", "restart"):
            self.restarted.append(f"{args[3].removeprefix('--namespace=')} {args[2]}")
            return ""
        return super().check(*args, stdin=stdin, **more)


USERS = {
    "a variable": workload("user", container=of_key("password")),
    "a variable of a first container": workload(
        "user", initContainers=[{"name": "first", **of_key("password")}]
    ),
    "all variables": workload(
        "user", container={"envFrom": [{"secretRef": {"name": "postgresql"}}]}
    ),
    "a file": workload("user", volumes=mounted("other", "password")),
    "all files": workload("user", volumes=mounted()),
}


@pytest.mark.parametrize("how", USERS)
def test_what_runs_with_the_values_of_a_deleted_secret_is_restarted(how: str) -> None:
    cluster: Any = Running(
        USERS[how],
        workload("other"),
        workload("another", container={**of_key("password", secret="mlflow"), "envFrom": [{}]}),
        workload("of-another-key", volumes=mounted("exporter-password")),
        workload("elsewhere", "two", container=of_key("password")),
    )
    wanted = Wanted("postgresql", "kindling", ("password",))
    lacking = ensure(cluster, wanted)
    assert cluster_secrets.restart_users(cluster, lacking) == ["kindling/user"]
    assert cluster.restarted == ["kindling deployments/user"]
    # What is complete is left alone.
    assert cluster_secrets.restart_users(cluster, ensure(cluster, wanted)) == []


NAMESPACE_THERE = 'Error from server (AlreadyExists): namespaces "kindling" already exists'
THERE = 'Error from server (AlreadyExists): secrets "mlflow" already exists'
LOST = (
    "Error from server (Timeout): the server was unable to return a response in the time allotted, "
    "but may still be processing the request (post secrets)"
)


def generate(program: Scripted) -> None:
    kubectl = Kubectl.of({"kubectl_binary": program.path, "kubeconfig": "f", "context": "kind-c"})
    cluster_secrets.generate(kubectl, {Wanted("mlflow", "kindling", ("a",)): ["a"]})


def test_a_secret_outlasts_an_api_server_that_is_busy(tmp_path: Path, pauses: list[float]) -> None:
    program = scripted(
        tmp_path,
        "kubectl",
        fails("Error from server: etcdserver: leader changed"),
        ok(),
        fails('Error from server (NotFound): namespaces "kindling" not found'),
        ok(),
    )
    generate(program)
    assert [call[2] for call in program.calls] == ["create"] * 4


def test_a_secret_whose_creation_got_no_answer_has_the_values_of_that_try(
    tmp_path: Path, pauses: list[float]
) -> None:
    program = scripted(tmp_path, "kubectl", fails(NAMESPACE_THERE), fails(LOST), fails(THERE), ok())
    generate(program)
    made, patched = (json.loads(program.inputs[n])["stringData"] for n in (1, 3))
    assert program.calls[3][2] == "patch"
    assert made == patched


def test_an_api_server_that_refuses_a_secret_is_not_taken_for_one_without_it(
    tmp_path: Path, pauses: list[float]
) -> None:
    refusal = 'Error from server (Forbidden): secrets is forbidden: User "eve" cannot create'
    program = scripted(tmp_path, "kubectl", ok(), fails(refusal))
    with pytest.raises(KindlingError, match="eve"):
        generate(program)
    assert len(program.calls) == 2
