"""A challenger that really is faulty: it passes every check before it is served, and then fails."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto, helper, load_model_from_string, numpy_helper

from kindling.errors import KindlingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_EXPERIMENT = "load test"
_DESCRIPTOR, _MODEL = "model.json", "model.onnx"
_CHAMPION = "champion"


@contextmanager
def faulty_challenger(mlflow: MlflowClient, name: str) -> Iterator[str]:
    """A registered version of ``name``, made from its champion, that fails on most rows.

    It and its run are deleted in the end; who promotes it rolls back before.
    Raises KindlingError when ``name`` has no champion, or that is no classifier.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = _package(mlflow, name, Path(scratch))
        descriptor = json.loads((folder / _DESCRIPTOR).read_text())
        if "classifier" not in descriptor:
            raise KindlingError(
                f"the champion of {name} is no classifier: there is no faulty one to make from it",
                next_step="nox -s models",
            )
        part = descriptor["classifier"]
        graph = (folder / _MODEL).read_bytes()
        full = part["features"] * part["maximum"]
        (folder / _MODEL).write_bytes(faulty(graph, full=full))
        version, run = _register(mlflow, name, folder)
    try:
        yield version
    finally:
        mlflow.delete_model_version(name, version)
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


def _package(mlflow: MlflowClient, name: str, scratch: Path) -> Path:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        champion = mlflow.get_model_version_by_alias(name, _CHAMPION)
        source = f"models:/{name}/{champion.version}"
        return Path(download_artifacts(artifact_uri=source, dst_path=str(scratch)))
    except MlflowException as error:
        raise KindlingError(
            f"the champion of {name} cannot be had: {str(error).splitlines()[0][:200]}",
            next_step="nox -s models",
        ) from None


def _register(mlflow: MlflowClient, name: str, folder: Path) -> tuple[str, str]:
    known = mlflow.get_experiment_by_name(_EXPERIMENT)
    experiment = known.experiment_id if known else mlflow.create_experiment(_EXPERIMENT)
    run = mlflow.create_run(experiment).info
    mlflow.log_artifacts(run.run_id, str(folder), "model")
    mlflow.set_terminated(run.run_id)
    digests: dict[str, Any] = {
        file: hashlib.sha256((folder / file).read_bytes()).hexdigest()
        for file in (_DESCRIPTOR, _MODEL)
    }
    tags = {
        "sha256": json.dumps(digests),
        # What it would have without the fault: a gate tries the model that it is given.
        "gate": "passed",
        "description": "faulty on purpose, made by a load test, deleted at its end",
    }
    made = mlflow.create_model_version(name, f"{run.artifact_uri}/model", run.run_id, tags=tags)
    return str(made.version), str(run.run_id)
