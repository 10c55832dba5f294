"""Removing a version with all that it takes up, and bringing back an experiment."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kindling.errors import KindlingError
from kindling.model_registry import CHAMPION, PREVIOUS, ModelRegistry, mlflow_errors
from kindling.stores import Stores

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ABSENT = "RESOURCE_DOES_NOT_EXIST"
_DELETED = "deleted"


def delete(registry: ModelRegistry, stores: Stores, name: str, version: str) -> list[str]:
    """Remove a version, its run and its logged model for good, with their files.

    Returns what is kept because other versions are of it too. The version itself goes last: what
    fails half-way is done by the same command again. Raises KindlingError where it is in use.
    """
    entry, client = registry.version(name, version), registry.client
    _check_unused(registry, name, version)
    with mlflow_errors():
        run, model = _own(client, entry)
        with _unless_absent():
            if run and client.get_run(run).info.lifecycle_stage != _DELETED:
                client.delete_run(run)
        with _unless_absent():
            if model:
                client.delete_logged_model(model)
        if run or model:
            stores.remove(run, model)
        client.delete_model_version(name, version)
    kept = [("run", entry.run_id, run), ("logged model", _model_of(entry), model)]
    return [f"{what} {known}" for what, known, removed in kept if known and not removed]


def restore_experiment(registry: ModelRegistry, name: str) -> None:
    """Bring back an experiment that was deleted. Raises KindlingError where there is none."""
    with mlflow_errors():
        experiment = registry.client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != _DELETED:
        raise KindlingError(
            f"the experiment {name} is not deleted"
            if experiment
            else f"there is no experiment {name}",
            next_step="nox -s models",
        )
    with mlflow_errors():
        registry.client.restore_experiment(experiment.experiment_id)


def _own(client: MlflowClient, version: Any) -> tuple[str, str]:
    """The run and the logged model of a version; empty where there is none, or others have it."""
    run, model = version.run_id or "", _model_of(version)
    if not run:
        return "", model
    others = [
        other
        for other in client.search_model_versions(f"run_id = '{run}'")
        if (other.name, str(other.version)) != (version.name, str(version.version))
    ]
    is_shared = any(_model_of(other) == model for other in others)
    return "" if others else run, "" if is_shared else model


def _model_of(version: Any) -> str:
    """The id of a version's logged model: not every store fills in the field for it."""
    source = re.fullmatch(r"models:/(m-[0-9a-f]+)", version.source or "")
    return version.model_id or (source[1] if source else "")


def _check_unused(registry: ModelRegistry, name: str, version: str) -> None:
    uses = [
        alias
        for alias, one in registry.aliases(name).items()
        if one == version and alias in (CHAMPION, PREVIOUS)
    ]
    canary = registry.canary(name)
    if canary and canary.version == version and canary.until > time.time():
        uses.append("a canary")
    if uses:
        raise KindlingError(
            f"version {version} of {name} is {' and '.join(sorted(uses))}",
            next_step=f"nox -s promote -- {name} ANOTHER, or another version",
        )


@contextmanager
def _unless_absent() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != _ABSENT:
            raise
