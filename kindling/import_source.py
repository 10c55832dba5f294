"""From a URI to a folder of files that a container may read: copied, bounded, plain files only."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

from kindling.errors import KindlingError

MOST_BYTES, MOST_FILES = 2**30, 2000
_IN_MLFLOW = re.compile(r"(runs|models):/[^/].*")
_FORMS = (
    "runs:/RUN_ID/PATH, models:/NAME/VERSION, models:/NAME@ALIAS, or a folder with an MLmodel file"
)


def is_in_mlflow(uri: str) -> bool:
    """Whether ``uri`` is of a run or a version. Raises KindlingError if it is nothing known."""
    if _IN_MLFLOW.fullmatch(uri):
        return True
    if not Path(uri).is_dir():
        raise KindlingError(
            f"{uri} is no model's address, and there is no folder {Path(uri).absolute()}",
            next_step=f"name {_FORMS}",
        )
    if not (Path(uri) / "MLmodel").is_file():
        raise KindlingError(
            f"{uri} has no MLmodel file", next_step="name the folder that mlflow's save_model wrote"
        )
    return False


def fetch(uri: str, to: Path) -> None:
    """Put the files of the model at ``uri`` into ``to``, which is made, for anybody to read.

    For runs and versions MLflow's environment variables are set. Raises KindlingError.
    """
    if is_in_mlflow(uri):
        _download(uri, to)
        if not (to / "MLmodel").is_file():
            raise KindlingError(
                f"{uri} has no MLmodel file", next_step=f"name the model itself: {_FORMS}"
            )
    else:
        _copy(Path(uri), to)
    for path in (to, *to.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _copy(source: Path, to: Path) -> None:
    total = count = 0
    for folder, folders, files in os.walk(source, onerror=_raise):
        below = Path(folder).relative_to(source)
        (to / below).mkdir(parents=True)
        for name in (*folders, *files):
            file = Path(folder) / name
            if file.is_symlink() or not (file.is_dir() or file.is_file()):
                raise KindlingError(
                    f"{file} is a link or no plain file, and such are not followed",
                    next_step="put a copy of what it leads to in its place",
                )
        for name in files:
            count, total = count + 1, total + (Path(folder) / name).stat().st_size
            _bound(str(source), count, total)
            shutil.copyfile(Path(folder) / name, to / below / name)


def _raise(error: OSError) -> None:
    raise error


def _download(uri: str, to: Path) -> None:
    # Late: it takes seconds, which nobody with a typing mistake should wait for.
    import requests
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        repository: Any = get_artifact_repository(uri)
        _measure(uri, repository)
        to.mkdir(parents=True)
        repository.download_artifacts("", str(to))
    except (MlflowException, requests.RequestException, OSError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise KindlingError(
            f"{uri} cannot be had from MLflow: {said}",
            next_step=f"nox -s models lists what is registered; a URI is one of {_FORMS}",
        ) from error


def _measure(uri: str, repository: Any) -> None:
    total = count = 0
    folders: list[str | None] = [None]
    while folders:
        for entry in repository.list_artifacts(folders.pop()):
            count, total = count + 1, total + (entry.file_size or 0)
            _bound(uri, count, total)
            if entry.is_dir:
                folders.append(entry.path)
    if not count:
        raise KindlingError(f"there is nothing at {uri}", next_step=f"name {_FORMS}")


def _bound(what: str, files: int, total: int) -> None:
    if files > MOST_FILES or total > MOST_BYTES:
        raise KindlingError(
            f"{what} has more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB",
            next_step="name the model itself, or train a smaller one",
        )
