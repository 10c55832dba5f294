"""Versions in the registry that the pipeline did not make."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from loadtests.challenger import faulty


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


@contextmanager
def faulty_digits(mlflow: MlflowClient) -> Iterator[str]:
    """A version of ``digits`` that has passed the gate and fails on most rows, during the block."""
    champion = mlflow.get_model_version_by_alias("digits", "champion").version
    with tempfile.TemporaryDirectory() as scratch:
        source = f"models:/digits/{champion}"
        folder = Path(download_artifacts(artifact_uri=source, dst_path=scratch))
        files = {name: (folder / name).read_bytes() for name in ("model.json", "model.onnx")}
    part = json.loads(files["model.json"])["classifier"]
    full = part["features"] * part["maximum"]
    files["model.onnx"] = faulty(files["model.onnx"], full=full)
    version = register(mlflow, files, tag(files))
    try:
        yield version
    finally:
        mlflow.delete_model_version("digits", version)
