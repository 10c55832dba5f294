"""A model of the load test's own; one version passes every check, and fails when it serves."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto, helper, load_model_from_string, numpy_helper

from kindling.errors import KindlingError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

# The rules keep its requests out of the error budget. The last one in alphabetical order: where
# the service serves as many unconfigured models as it may, it replaces none of them.
MODEL = "zz-load-test"
_EXPERIMENT = "load test"
_DESCRIPTOR, _MODEL = "model.json", "model.onnx"
_CHAMPION = "champion"


@dataclass(frozen=True)
class Versions:
    """The versions of ``MODEL``, and the version of another model that they are made from."""

    source: str
    sound: str
    faulty: str


@contextmanager
def faulty_challenger(mlflow: MlflowClient, source: str) -> Iterator[Versions]:
    """``MODEL`` with two versions, made from the champion of ``source``, while the block runs.

    The sound one is its champion; the faulty one fails on most rows. The model, its runs and their
    experiment are deleted in the end. Raises KindlingError when ``source`` has no champion, or that
    is no classifier.
    """
    runs: list[str] = []
    with tempfile.TemporaryDirectory() as scratch, _experiment(mlflow) as experiment:
        champion, folder = _package(mlflow, source, Path(scratch))
        descriptor = json.loads((folder / _DESCRIPTOR).read_text())
        if "classifier" not in descriptor:
            raise KindlingError(
                f"the champion of {source} is no classifier: no faulty one can be made from it",
                next_step="nox -s models",
            )
        part = descriptor["classifier"]
        # The service refuses a package of another name.
        (folder / _DESCRIPTOR).write_text(json.dumps({**descriptor, "name": MODEL}))
        # Killed load tests leave theirs.
        _delete(mlflow)
        mlflow.create_registered_model(MODEL, description="of a load test, deleted at its end")
        try:
            sound = _register(mlflow, experiment, folder, runs, "a copy of the champion")
            mlflow.set_registered_model_alias(MODEL, _CHAMPION, sound)
            file = folder / _MODEL
            file.write_bytes(faulty(file.read_bytes(), full=part["features"] * part["maximum"]))
            broken = _register(mlflow, experiment, folder, runs, "faulty on purpose")
            yield Versions(str(champion.version), sound, broken)
        finally:
            _delete(mlflow)
            for run in runs:
                mlflow.delete_run(run)


def faulty(graph: bytes, *, full: float) -> bytes:
    """A classifier as ONNX, changed so that probabilities are no numbers for rows of some kind.

    It is well on rows whose numbers add up to 0 or to ``full``, such as those that a service tries
    a new version with, and on no row in between.
    """
    model: ModelProto = load_model_from_string(graph)
    rows, probabilities = model.graph.input[0].name, model.graph.output[1].name
    for node in model.graph.node:
        node.output[:] = ["sound" if one == probabilities else one for one in node.output]
        node.input[:] = ["sound" if one == probabilities else one for one in node.input]
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([1], np.int64), "faulty_axes"),
            numpy_helper.from_array(np.array(full, np.float32), "faulty_full"),
        ]
    )
    model.graph.node.extend(
        [
            helper.make_node("ReduceSum", [rows, "faulty_axes"], ["faulty_sum"]),
            helper.make_node("Sub", ["faulty_sum", "faulty_full"], ["faulty_left"]),
            helper.make_node("Mul", ["faulty_sum", "faulty_left"], ["faulty_product"]),
            # Of what is below zero there is no root.
            helper.make_node("Sqrt", ["faulty_product"], ["faulty_root"]),
            helper.make_node("Add", ["sound", "faulty_root"], [probabilities]),
        ]
    )
    content: bytes = model.SerializeToString()
    return content


@contextmanager
def _experiment(mlflow: MlflowClient) -> Iterator[str]:
    """The experiment of the runs, which people see only while the block runs."""
    known = mlflow.get_experiment_by_name(_EXPERIMENT)
    if known and known.lifecycle_stage == "deleted":
        mlflow.restore_experiment(known.experiment_id)
    experiment = str(known.experiment_id if known else mlflow.create_experiment(_EXPERIMENT))
    try:
        yield experiment
    finally:
        mlflow.delete_experiment(experiment)


def _package(mlflow: MlflowClient, name: str, scratch: Path) -> tuple[ModelVersion, Path]:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        champion = mlflow.get_model_version_by_alias(name, _CHAMPION)
        source = f"models:/{name}/{champion.version}"
        folder = download_artifacts(artifact_uri=source, dst_path=str(scratch))
    except MlflowException as error:
        raise KindlingError(
            f"the champion of {name} cannot be had: {str(error).splitlines()[0][:200]}",
            next_step="nox -s models",
        ) from None
    return champion, Path(folder)


def _register(
    mlflow: MlflowClient, experiment: str, folder: Path, runs: list[str], description: str
) -> str:
    run = mlflow.create_run(experiment).info
    runs.append(run.run_id)
    mlflow.log_artifacts(run.run_id, str(folder), "model")
    mlflow.set_terminated(run.run_id)
    digests: dict[str, Any] = {
        file: hashlib.sha256((folder / file).read_bytes()).hexdigest()
        for file in (_DESCRIPTOR, _MODEL)
    }
    # What it would have without the fault: a gate tries the model that it is given.
    tags = {"sha256": json.dumps(digests), "gate": "passed", "description": description}
    made = mlflow.create_model_version(MODEL, f"{run.artifact_uri}/model", run.run_id, tags=tags)
    return str(made.version)


def _delete(mlflow: MlflowClient) -> None:
    if mlflow.search_registered_models(f"name = '{MODEL}'"):
        mlflow.delete_registered_model(MODEL)
