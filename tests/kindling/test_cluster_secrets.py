"""Generated Secrets: made once, completed, never changed."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from kindling import cluster_secrets
from kindling.cluster_secrets import Wanted


class Cluster:
    """Secrets in memory, by namespace and name."""

    def __init__(self) -> None:
        self.secrets: dict[tuple[str, str], dict[str, str]] = {}

    def items(self, kind: str, *_: str) -> list[dict[str, Any]]:
        assert kind == "secrets"
        return [
            {"metadata": {"namespace": where, "name": name}, "data": data}
            for (where, name), data in self.secrets.items()
        ]

    def run(self, *args: str, **_: Any) -> subprocess.CompletedProcess[str]:
        if args[0] == "get":
            known = (args[3].removeprefix("--namespace="), args[2]) in self.secrets
            return subprocess.CompletedProcess(args, 0 if known else 1, "", "")
        return subprocess.CompletedProcess(args, 0, "", "")

    def check(self, *args: str, stdin: str = "", **_: Any) -> str:
        given = json.loads(stdin)
        if args[0] == "create":
            about = given["metadata"]
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
