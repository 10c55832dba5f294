"""A model's life on a real cluster: trained, stopped by the gate, promoted, rolled back."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_load import Load, predict
from conftest import BUSYBOX, Cluster, eventually, kindling
from mlflow import MlflowClient
from registering import faulty_digits, register, tag

from kindling import paths
from kindling.model_registry import ModelRegistry
from kindling.pods import serving_pods


@pytest.fixture
def aliases_kept(cluster: Cluster, mlflow: MlflowClient) -> Iterator[None]:
    """Afterwards the aliases are what they were, and every pod serves the champion again."""
    registry = ModelRegistry(mlflow)
    before = registry.aliases("digits")
    yield
    for alias, version in before.items():
        mlflow.set_registered_model_alias("digits", alias, version)
    for alias in registry.aliases("digits").keys() - before.keys():
        mlflow.delete_registered_model_alias("digits", alias)
    eventually(
        lambda: {
            pod.model("digits").get("version") for pod in serving_pods(cluster.kubectl, "kindling")
        } == {before["champion"]},
        seconds=60, what="the champion is served again",
    )  # fmt: skip


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What training needs of this repository, to change parameters in."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("dvc.yaml", "dvc.lock", "params.yaml", ".dvcignore", "requirements/models.txt"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(paths.REPOSITORY / name, root / name)
    (root / ".dvc").mkdir()
    shutil.copy(paths.REPOSITORY / ".dvc" / "config", root / ".dvc" / "config")
    shutil.copytree(
        paths.REPOSITORY / "pipeline", root / "pipeline",
        ignore=shutil.ignore_patterns("build", "__pycache__"),
    )  # fmt: skip
    return root


def train(checkout: Path, **changed: Any) -> subprocess.CompletedProcess[str]:
    """Train ``digits`` with other parameters of the stage ``train``."""
    file = checkout / "params.yaml"
    params = yaml.safe_load((paths.REPOSITORY / "params.yaml").read_text())
    params["digits"]["train"] |= changed
    file.write_text(yaml.safe_dump(params, sort_keys=False))
    return kindling("train", f"--root={checkout}", "digits")


def newest(mlflow: MlflowClient) -> str:
    return max((str(v.version) for v in mlflow.search_model_versions("name='digits'")), key=int)


def test_the_gate_stops_a_worse_model_and_says_what_fell_short(
    checkout: Path, mlflow: MlflowClient
) -> None:
    before = newest(mlflow)
    done = train(checkout, rounds=1, hidden=[2])
    assert done.returncode == 1
    assert "accuracy" in done.stdout
    assert "0.95" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert newest(mlflow) == before


def test_a_version_that_the_gate_did_not_pass_cannot_be_promoted(
    mlflow: MlflowClient, aliases_kept: None
) -> None:
    source = mlflow.get_model_version("digits", newest(mlflow)).source or ""
    sneaked = mlflow.create_model_version("digits", source, model_id=source.rpartition("/")[2])
    try:
        done = kindling("models", "promote", "digits", str(sneaked.version))
        assert done.returncode == 1
        assert "has not passed the evaluation gate" in done.stderr
        assert mlflow.get_model_version_by_alias("digits", "champion").version != sneaked.version
    finally:
        mlflow.delete_model_version("digits", str(sneaked.version))


def test_promoted_and_rolled_back_under_load_without_a_failed_request(
    cluster: Cluster,
    checkout: Path,
    mlflow: MlflowClient,
    holdout: dict[str, Any],
    aliases_kept: None,
) -> None:
    champion = str(mlflow.get_model_version_by_alias("digits", "champion").version)
    done = train(checkout, seed=21)
    assert done.returncode == 0, done.stdout + done.stderr
    version = str(mlflow.get_model_version_by_alias("digits", "challenger").version)
    assert f"nox -s promote -- digits {version}" in done.stdout
    body = json.dumps(holdout["request"]).encode()

    def right(answer: dict[str, Any]) -> bool:
        return [each["label"] for each in answer["predictions"]] == holdout["labels"]

    with Load(cluster.url, body, threads=2, right=right) as load:
        eventually(lambda: load.versions, seconds=30, what="the champion answers")
        promoted = kindling("models", "promote", "digits", version)
    assert (promoted.returncode, load.failed) == (0, []), promoted.stderr
    assert load.versions == [champion, version]
    assert predict(cluster.url, body)["version"] == version
    listed = kindling("models", "list").stdout
    assert [line.split()[:3] for line in listed.splitlines() if line.startswith("digits")][:2] == [
        ["digits", version, "champion"], ["digits", champion, "previous"],
    ]  # fmt: skip

    with Load(cluster.url, body, threads=2, right=right) as load:
        eventually(lambda: load.versions, seconds=30, what="the new champion answers")
        back = kindling("models", "rollback", "digits")
    assert (back.returncode, load.failed) == (0, []), back.stderr
    assert load.versions == [version, champion]
    again = train(checkout, seed=21)
    assert again.returncode == 0
    assert newest(mlflow) == version, "the very same model was registered twice"


def test_a_champion_that_fails_on_real_requests_is_rolled_back_by_one_command(
    cluster: Cluster, mlflow: MlflowClient, holdout: dict[str, Any], aliases_kept: None
) -> None:
    champion = str(mlflow.get_model_version_by_alias("digits", "champion").version)
    body = json.dumps(holdout["request"]).encode()
    with faulty_digits(mlflow) as version:
        promoted = kindling("models", "promote", "digits", version)
        assert promoted.returncode == 0, promoted.stderr
        with pytest.raises(urllib.error.HTTPError, match="500"):
            predict(cluster.url, body)
        back = kindling("models", "rollback", "digits")
        assert back.returncode == 0, back.stderr
        assert predict(cluster.url, body)["version"] == champion


@pytest.fixture
def failed_pod(cluster: Cluster) -> Iterator[str]:
    """A pod of the service that has failed for good, as an evicted one has."""
    name = "serving-evicted"
    confined = {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    container = {"name": "serving", "image": BUSYBOX, "imagePullPolicy": "Never",
                 "command": ["false"], "securityContext": confined}  # fmt: skip
    labels = {
        "app.kubernetes.io/name": "serving", "app.kubernetes.io/instance": "serving",
        "app.kubernetes.io/part-of": "kindling",
    }  # fmt: skip
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }  # fmt: skip
    cluster.kubectl.check("create", "--namespace=kindling", "--filename=-", stdin=json.dumps(pod))
    phase = ("get", "pod", name, "--namespace=kindling", "--output=jsonpath={.status.phase}")
    eventually(lambda: cluster.kubectl.check(*phase) == "Failed", seconds=60, what="it has failed")
    yield name
    cluster.kubectl.check("delete", "pod", name, "--namespace=kindling", "--wait=false")


def test_pod_that_has_failed_holds_up_neither_a_promotion_nor_a_rollback(
    cluster: Cluster, mlflow: MlflowClient, aliases_kept: None, failed_pod: str
) -> None:
    champion = str(mlflow.get_model_version_by_alias("digits", "champion").version)
    with faulty_digits(mlflow) as version:
        promoted = kindling("models", "promote", "digits", version)
        assert promoted.returncode == 0, promoted.stderr
        assert f"not counted: {failed_pod} (Failed" in promoted.stdout
        back = kindling("models", "rollback", "digits")
        assert back.returncode == 0, back.stderr
        assert mlflow.get_model_version_by_alias("digits", "champion").version == champion


def stored(cluster: Cluster) -> int:
    """How many files MLflow keeps."""
    count = (
        "import pathlib; files = pathlib.Path('/var/lib/mlflow').rglob('*');"
        "print(sum(file.is_file() for file in files))"
    )
    words = ("deployment/mlflow", "--namespace=kindling", "--", "python", "-c", count)
    return int(cluster.kubectl.check("exec", *words))


def test_deleted_version_leaves_no_file(cluster: Cluster, mlflow: MlflowClient) -> None:
    before = stored(cluster)
    files = {"model.json": b"{}", "model.onnx": b"x"}
    version = register(mlflow, files, tag(files))
    assert stored(cluster) > before
    refused = kindling(
        "models", "list", "--delete", "digits",
        str(mlflow.get_model_version_by_alias("digits", "champion").version),
    )  # fmt: skip
    assert refused.returncode == 1
    assert "is champion" in refused.stderr
    done = kindling("models", "list", "--delete", "digits", version)
    assert done.returncode == 0, done.stderr
    assert stored(cluster) == before
    assert version not in {one.version for one in mlflow.search_model_versions("name='digits'")}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("promote", "digit", "1"), "there is no registered model digit; there are digits, text"),
        (("promote", "digits", "999"), "there is no version 999 of digits; there are 1"),
        (("rollback", "nothing"), "there is no registered model nothing"),
    ],
)
def test_an_unknown_name_or_version_gets_those_that_exist(
    cluster: Cluster, words: tuple[str, ...], message: str
) -> None:
    done = kindling("models", *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert "next: nox -s" in done.stderr


def test_predictions_go_on_while_mlflow_and_then_its_database_are_gone(
    cluster: Cluster, mlflow: MlflowClient, holdout: dict[str, Any]
) -> None:
    runs = sorted(one.version for one in mlflow.search_model_versions("name='digits'"))
    body = json.dumps(holdout["request"]).encode()
    with Load(cluster.url, body, threads=2) as load:
        for name in ("mlflow", "postgresql"):
            selector = f"--selector=app.kubernetes.io/name={name}"
            (before,) = cluster.kubectl.items("pods", "--namespace=kindling", selector)
            cluster.kubectl.check(
                "delete", "pod", before["metadata"]["name"], "--namespace=kindling",
                "--wait=false",
            )  # fmt: skip
            eventually(
                lambda s=selector, b=before: another_is_ready(cluster, s, b),  # type: ignore[misc]
                seconds=120, what=f"another pod of {name} is ready",
            )  # fmt: skip
    assert load.answered > 0
    assert load.failed == []
    assert len(load.versions) == 1
    after = eventually(
        lambda: sorted(one.version for one in mlflow.search_model_versions("name='digits'")),
        seconds=60, what="MLflow answers again",
    )  # fmt: skip
    assert after == runs


def another_is_ready(cluster: Cluster, selector: str, before: dict[str, Any]) -> bool:
    pods = cluster.kubectl.items("pods", "--namespace=kindling", selector)
    return any(
        pod["metadata"]["uid"] != before["metadata"]["uid"]
        and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"]["conditions"])
        for pod in pods
        if "conditions" in pod["status"]
    )
