"""What MLflow knows outlives an upgrade, and comes back from a backup into an empty cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cluster_load import predict
from conftest import Cluster, administered, eventually, kindling
from mlflow import MlflowClient

from kindling import paths
from kindling.model_registry import ModelRegistry
from kindling.supply import command

NAMES = ("digits", "text")


def known(mlflow: MlflowClient) -> dict[str, Any]:
    """Every version with all that MLflow says of it and of its run, and every alias."""
    registry = ModelRegistry(mlflow)
    versions = [one for name in NAMES for one in registry.versions(name)]
    return {
        "versions": [(one.name, one.version, one.run_id, one.source, one.tags) for one in versions],
        "runs": {one.run_id: registry.metrics(one) for one in versions},
        "aliases": {name: registry.aliases(name) for name in NAMES},
    }


def test_an_upgrade_keeps_what_is_known(cluster: Cluster, mlflow: MlflowClient) -> None:
    before = known(mlflow)
    (old,) = cluster.kubectl.items(
        "pods", "--namespace=kindling", "--selector=app.kubernetes.io/name=mlflow"
    )
    command.run(
        [cluster.helm, f"--kubeconfig={cluster.kubectl.kubeconfig}",
         f"--kube-context={cluster.kubectl.context}", "upgrade", "mlflow",
         paths.REPOSITORY / "charts" / "mlflow", "--namespace=kindling", "--reuse-values",
         "--set=podAnnotations.kindling\\.dev/test=upgraded", "--wait", "--timeout=120s"]
    )  # fmt: skip
    (new,) = (
        pod
        for pod in cluster.kubectl.items(
            "pods", "--namespace=kindling", "--selector=app.kubernetes.io/name=mlflow"
        )
        if "deletionTimestamp" not in pod["metadata"]
    )
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert known(mlflow) == before


def predicted(cluster: Cluster, body: bytes) -> dict[str, object]:
    """The answer but for its id, which no two predictions share."""
    answer = predict(cluster.url, body)
    assert answer.pop("prediction_id")
    return answer


def test_a_backup_is_restored_into_an_empty_registry(
    cluster: Cluster, mlflow: MlflowClient, holdout: dict[str, Any], tmp_path: Path
) -> None:
    run = mlflow.create_run(mlflow.create_experiment(f"own-{tmp_path.name}-{id(tmp_path)}"))
    mlflow.log_text(run.info.run_id, "notes", "notes.txt")
    before, body = known(mlflow), json.dumps(holdout["request"]).encode()
    answer = predicted(cluster, body)
    file = tmp_path / "backup.tar"
    done = kindling("backup", "backup", str(file))
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o077 == 0, "others may read the hashes of passwords"

    # With its volumes everything that MLflow knew is gone; cluster-up makes an empty one.
    cluster.kubectl.check(
        "delete", "statefulset/postgresql", "deployment/mlflow", "--namespace=kindling",
        "--cascade=foreground", timeout=120,
    )  # fmt: skip
    cluster.kubectl.check(
        "delete", "persistentvolumeclaim/data-postgresql-0", "persistentvolumeclaim/mlflow",
        "--namespace=kindling", timeout=120,
    )  # fmt: skip
    # What it makes by itself is replaced unasked, for which one sample model is enough.
    up = kindling("run", "up", "-e", "models_sample=[digits]")
    assert up.returncode == 0, up.stdout + up.stderr
    assert ModelRegistry(mlflow).names() == ["digits"]

    restored = kindling("backup", "restore", str(file))
    assert restored.returncode == 0, restored.stderr
    assert known(mlflow) == before
    artifacts = [one.path for one in mlflow.list_artifacts(run.info.run_id)]
    assert artifacts == ["notes.txt"]
    eventually(
        lambda: predicted(cluster, body) == answer, seconds=60, what="predictions are the same"
    )

    again = kindling("backup", "restore", str(file))
    assert again.returncode == 1
    assert "MLflow holds runs of yours" in again.stderr
    assert f"nox -s restore -- {file} --replace" in again.stderr


def test_deleted_secrets_are_made_good(cluster: Cluster) -> None:
    with administered(cluster) as client:
        before = known(client)
    cluster.kubectl.check("delete", "secret", "postgresql", "mlflow", "--namespace=kindling")
    up = kindling("run", "up")
    assert up.returncode == 0, up.stdout + up.stderr
    # With the password that is generated now.
    with administered(cluster) as client:
        assert known(client) == before


def test_mlflow_and_the_exporter_are_no_superusers(cluster: Cluster) -> None:
    query = "SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolcanlogin AND rolsuper"
    psql = f'psql --tuples-only --no-align --username=postgres mlflow -c "{query}"'
    words = ("postgresql-0", "--namespace=kindling", "--", "sh", "-c", psql)
    assert cluster.kubectl.check("exec", *words).strip() == "postgres"
    eventually(
        lambda: cluster.prometheus.value("min(pg_up)") == 1, seconds=120, what="metrics are read"
    )
