"""Versions in the real registry that try to do harm: every pod refuses them and serves on."""

from __future__ import annotations

import base64
import json
import os
import pickle
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import model_graphs as graphs
import pytest
from cluster_load import Load
from conftest import Cluster, eventually
from mlflow import MlflowClient
from registering import register, tag

from kindling.pods import ServingPod, serving_pods

MARKER = "/tmp/kindling-test-marker"


class Touch:
    """Touches the marker where it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, (f"touch {MARKER}",)


def case(files: dict[str, bytes], reason: str, sha256: str | None = None) -> Any:
    return files, tag(files) if sha256 is None else sha256, reason


PICKLE = pickle.dumps(Touch())


def corpus(name: str) -> dict[str, Any]:
    """Versions of a model ``name``, by what is wrong with each."""
    good = graphs.package(1, name=name)
    other = {"features": 63, "minimum": 0, "maximum": 16, "classes": 10}
    return {
        "a pickle by its name": case({**good, "model.pkl": PICKLE}, "only ONNX packages"),
        "a pickle in place of a graph": case({**good, "model.onnx": PICKLE}, "can be run"),
        "a pickle in place of the descriptor": case({**good, "model.json": PICKLE}, "not valid"),
        "other content than was registered": case(
            good, "not the one whose SHA-256", tag(good, model__onnx="0" * 64)
        ),
        "a name that leads up": case(
            good, "only ONNX packages", json.dumps({"../../../etc/passwd": "0" * 64})
        ),
        "weights in a file of the host": case(
            {**good, "model.onnx": graphs.outside("../../../etc/passwd")}, "External data path"
        ),
        "a terabyte out of nothing": case({**good, "model.onnx": graphs.bloated(2**20)}, "memory"),
        "a gigabyte out of nothing": case({**good, "model.onnx": graphs.bloated(2**10)}, "memory"),
        "another signature": case(
            {**good, "model.json": graphs.describe(name, classifier=other)}, "has input"
        ),
    }


# One is put on the name that is served, the others on names of their own.
ON_DIGITS = "a pickle in place of a graph"
NAMES = {
    case: "digits" if case == ON_DIGITS else f"malicious-{number}"
    for number, case in enumerate(corpus("digits"))
}
CORPUS = {case: corpus(name)[case] for case, name in NAMES.items()}


@dataclass(frozen=True)
class Attempt:
    """What each pod said of each case, the requests meanwhile, and how it was before."""

    said: dict[ServingPod, dict[str, str]]
    load: Load
    champion: str
    restarts: dict[str, int]


@pytest.fixture(scope="module")
def attempt(cluster: Cluster, mlflow: MlflowClient, holdout: dict[str, Any]) -> Iterator[Attempt]:
    """All cases are champions at the same time, until every pod has said something of each."""
    restarts, versions = restarted(cluster), dict[str, str]()
    body = json.dumps(holdout["request"]).encode()

    def refused() -> dict[ServingPod, dict[str, str]]:
        said: dict[ServingPod, dict[str, str]] = {}
        for pod in serving_pods(cluster.kubectl, "kindling"):
            found = {case: pod.model(name).get("refused") or {} for case, name in NAMES.items()}
            if {case: one.get("version") for case, one in found.items()} != versions:
                return {}
            said[pod] = {case: str(one["reason"]) for case, one in found.items()}
        return said

    # Versions are deleted after the champion is what it was.
    with ExitStack() as registered, champion_kept(mlflow) as champion:
        for case, (files, sha256, _) in CORPUS.items():
            name = NAMES[case]
            if name != "digits":
                mlflow.create_registered_model(name)
                registered.callback(mlflow.delete_registered_model, name)
            versions[case] = register(mlflow, files, sha256, name)
            if name == "digits":
                registered.callback(mlflow.delete_model_version, name, versions[case])
        with Load(cluster.url, body, threads=1, pause=0.1, seconds=240) as load:
            for case, version in versions.items():
                mlflow.set_registered_model_alias(NAMES[case], "champion", version)
            said = eventually(refused, seconds=180, what="every pod refuses every version")
        assert isinstance(said, dict)
        yield Attempt(said, load, champion, restarts)


@contextmanager
def champion_kept(mlflow: MlflowClient) -> Iterator[str]:
    """The version of digits that is served; it is the champion again afterwards.

    It is the previous one too, as after `nox -s promote`: a pod that starts meanwhile serves it.
    """
    aliases = mlflow.get_registered_model("digits").aliases
    version = str(aliases["champion"])
    mlflow.set_registered_model_alias("digits", "previous", version)
    try:
        yield version
    finally:
        mlflow.set_registered_model_alias("digits", "champion", version)
        if "previous" in aliases:
            mlflow.set_registered_model_alias("digits", "previous", aliases["previous"])
        else:
            mlflow.delete_registered_model_alias("digits", "previous")


def restarted(cluster: Cluster) -> dict[str, int]:
    """How often each pod of the service was restarted."""
    pods = cluster.kubectl.items(
        "pods", "--namespace=kindling", "--selector=app.kubernetes.io/name=serving"
    )
    return {
        pod["metadata"]["name"]: one["restartCount"]
        for pod in pods
        for one in pod["status"].get("containerStatuses", [])
    }


@pytest.mark.parametrize("case", CORPUS)
def test_it_is_refused_with_a_reason_that_is_logged(
    cluster: Cluster, attempt: Attempt, case: str
) -> None:
    (_, _, reason), name = CORPUS[case], NAMES[case]
    there = {pod.name for pod in serving_pods(cluster.kubectl, "kindling")}
    for pod, said in attempt.said.items():
        assert reason in said[case]
        if pod.name in there:
            log = cluster.kubectl.check(
                "logs", pod.name, f"--namespace={pod.namespace}", "--since=10m"
            )
            lines = [line for line in log.splitlines() if "model refused" in line]
            assert any(f'"{name}"' in line and reason in line for line in lines)


def test_the_champion_is_served_on_and_nothing_was_run(cluster: Cluster, attempt: Attempt) -> None:
    assert attempt.load.failed == []
    assert attempt.load.versions == [attempt.champion]
    with urllib.request.urlopen(f"{cluster.url}/ready", timeout=10) as answer:
        assert answer.status == 200
    pods = serving_pods(cluster.kubectl, "kindling")
    assert pods
    for pod in pods:
        found = cluster.kubectl.run(
            "exec", pod.name, f"--namespace={pod.namespace}", "--", "ls", MARKER
        )
        assert "No such file" in found.stderr, f"{MARKER} is there in {pod.name}"
    assert not Path(MARKER).exists()
    after, before = restarted(cluster), attempt.restarts
    assert {name: after[name] for name in before if name in after}.items() <= before.items()


def test_the_accounts_password_is_in_no_log(cluster: Cluster) -> None:
    secret = cluster.kubectl.get("secret", "mlflow", "--namespace=kindling")
    values = [base64.b64decode(value).decode() for value in secret["data"].values()]
    for deployment in ("serving", "mlflow"):
        log = cluster.kubectl.check("logs", f"deployment/{deployment}", "--namespace=kindling")
        assert not any(value in log for value in values)
