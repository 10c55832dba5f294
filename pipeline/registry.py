"""The model registry, as far as registering needs it."""

from __future__ import annotations

import contextlib
import json
import logging
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.models import Model as MlflowModel

from pipeline.errors import PipelineError

CHAMPION, CHALLENGER = "champion", "challenger"
SHA256_TAG, GATE_TAG, DATA_TAG = "sha256", "gate", "data_sha256"
PASSED = "passed"
_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_THERE = "RESOURCE_ALREADY_EXISTS"
_BATCH = 500
# By its kind MLflow opens the page of an experiment that has its runs; without one it guesses.
_KIND_TAG, _KIND = "mlflow.experimentKind", "custom_model_development"
_NOTE_TAG = "mlflow.note.content"


@dataclass(frozen=True)
class Evaluated:
    """A registered version: on which data it was evaluated, and what it was worth there."""

    version: str
    data: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class Record:
    """What is kept about a run. ``curve``: metric, step, value; ``tables``: a folder.

    ``description`` says in a sentence where the model comes from.
    """

    params: Mapping[str, str]
    metrics: Mapping[str, float]
    curve: Sequence[tuple[str, int, float]]
    tags: Mapping[str, str]
    tables: Path
    description: str = ""


@contextlib.contextmanager
def connect() -> Iterator[Registry]:
    """The registry that MLflow's environment variables name, for the block.

    Raises PipelineError when there is none, and for whatever goes wrong with it in the block.
    """
    if not mlflow.is_tracking_uri_set():  # type: ignore[no-untyped-call]
        raise PipelineError(
            "MLFLOW_TRACKING_URI is not set: there is no registry to register in",
            next_step="nox -s train",
        )
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    where = mlflow.get_tracking_uri()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield Registry(where, MlflowClient())
    except (MlflowException, requests.RequestException) as error:
        message, next_step = _explain(error, where)
        raise PipelineError(message, next_step=next_step) from error


class Registry:
    """A registry at ``url``."""

    def __init__(self, url: str, client: MlflowClient) -> None:
        self.url, self._client = url, client

    def find(self, name: str, sha256: Mapping[str, str]) -> str | None:
        """The version of exactly these files, unless its registration was interrupted."""
        for version in self._client.search_model_versions(f"name='{name}'"):
            if is_of(version.tags, sha256):
                return str(version.version)
        return None

    def aliases(self, name: str, version: str) -> list[str]:
        """What else this version is called."""
        return sorted(self._client.get_model_version(name, version).aliases)

    def champion(self, name: str) -> Evaluated | None:
        """What is known of the champion, if there is one and its run is still there."""
        try:
            version = self._client.get_model_version_by_alias(name, CHAMPION)
            run = self._client.get_run(version.run_id or "")
        except MlflowException as error:
            if error.error_code in _MISSING:
                return None
            raise
        return Evaluated(version.version, run.data.tags.get(DATA_TAG, ""), run.data.metrics)

    def offer(self, name: str, version: str) -> None:
        """Make a version the challenger unless it is called something, as the champion is."""
        if not self.aliases(name, version):
            self._client.set_registered_model_alias(name, CHALLENGER, version)

    def add(self, name: str, record: Record, flavor: Any, sha256: Mapping[str, str]) -> str:
        """Log a run and its model and register that as the challenger; returns the version."""
        self._ensure_experiment(name)
        with mlflow.start_run(run_name=name, description=record.description) as run:
            identity = run.info.run_id
            mlflow.set_tags(dict(record.tags))
            mlflow.log_params(dict(record.params))
            mlflow.log_metrics(dict(record.metrics))
            now = int(time.time() * 1000)
            curve = [Metric(key, value, now, step) for key, step, value in record.curve]
            for start in range(0, len(curve), _BATCH):
                self._client.log_batch(identity, curve[start : start + _BATCH])
            mlflow.log_artifacts(str(record.tables), "evaluation")
            logged = MlflowModel.log(None, flavor, name=name, flavor_name="onnx")
        self._ensure_model(name)
        tags = {SHA256_TAG: json.dumps(sha256), GATE_TAG: PASSED}
        version = self._client.create_model_version(
            name, logged.model_uri, identity, tags=tags, model_id=logged.model_id,
            description=record.description,
        )  # fmt: skip
        # Only now it is known; people look for the run of a version.
        self._client.update_run(identity, name=f"{name} version {version.version}")
        self._client.set_registered_model_alias(name, CHALLENGER, version.version)
        return str(version.version)

    def _ensure_experiment(self, name: str) -> None:
        """Make the experiment of a model the current one; what people wrote of it stays."""
        experiment = mlflow.set_experiment(name)
        wanted = {
            _KIND_TAG: _KIND,
            _NOTE_TAG: f"A run for each registered version of the model `{name}`.",
        }
        for key, value in wanted.items():
            if not experiment.tags.get(key):
                self._client.set_experiment_tag(experiment.experiment_id, key, value)

    def _ensure_model(self, name: str) -> None:
        description = "Each version's run has what it was made from, and how good it is."
        try:
            self._client.create_registered_model(name, description=description)
        except MlflowException as error:
            if error.error_code != _THERE:
                raise


def is_of(tags: Mapping[str, str], sha256: Mapping[str, str]) -> bool:
    """Whether a version with these tags is of exactly these files and passed the gate."""
    try:
        return json.loads(tags.get(SHA256_TAG, "")) == sha256 and tags.get(GATE_TAG) == PASSED
    except ValueError:
        return False


def _explain(error: Exception, url: str) -> tuple[str, str]:
    """What failed, in one sentence, and the next step."""
    text = str(error)
    if "error code 401" in text or "error code 403" in text:
        return f"the model registry at {url} refuses this user", "nox -s train"
    if isinstance(error, MlflowException) and "Max retries exceeded" not in text:
        return f"the model registry at {url} refuses: {text.splitlines()[0]}", "nox -s status"
    return f"the model registry at {url} cannot be reached", "nox -s status"
