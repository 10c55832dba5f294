"""Versions in the registry that the pipeline did not make."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

from mlflow import MlflowClient


def tag(files: dict[str, bytes], **changes: str) -> str:
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return json.dumps(digests | {name.replace("__", "."): value for name, value in changes.items()})


def register(
    mlflow: MlflowClient, files: dict[str, bytes], sha256: str, name: str = "digits"
) -> str:
    """A version as somebody with write access would make it, without the pipeline."""
    known = mlflow.get_experiment_by_name("malicious")
    experiment = known.experiment_id if known else mlflow.create_experiment("malicious")
    run = mlflow.create_run(experiment).info
    with tempfile.TemporaryDirectory() as folder:
        for file, content in files.items():
            (Path(folder) / file).write_bytes(content)
        mlflow.log_artifacts(run.run_id, folder, "model")
    made = mlflow.create_model_version(
        name, f"{run.artifact_uri}/model", run.run_id, tags={"sha256": sha256, "gate": "passed"}
    )
    return str(made.version)
