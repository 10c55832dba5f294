"""Registering an imported package as the pipeline registers its own."""

from __future__ import annotations

import json
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlflow.models import Model

from kindling.errors import KindlingError
from kindling.import_answer import Figures
from pipeline import package, registry
from pipeline.errors import PipelineError
from pipeline.registry import Record

SOURCE_TAG = "kindling.source"


class ImportedFlavor:
    """Saves the files of a package as they are, with the signature of what it was made from."""

    def __init__(self, files: Path, source: Path) -> None:
        self._files, self._source = files, source

    def save_model(self, path: str, mlflow_model: Model, **_: Any) -> None:
        """What MLflow calls. ``path`` is a folder that is not there yet."""
        folder = Path(path)
        folder.mkdir(parents=True)
        for file in self._files.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        mlflow_model.add_flavor(
            "onnx", onnx_version=version("onnx"), data="model.onnx", code=None,
            providers=["CPUExecutionProvider"],
        )  # fmt: skip
        # For people who look at it; whatever is wrong with the source was said before.
        with suppress(Exception):
            mlflow_model.signature = Model.load(str(self._source)).signature
        mlflow_model.save(str(folder / "MLmodel"))


def register(
    name: str, files: Path, source: Path, uri: str, figures: Figures, work: Path
) -> tuple[str, bool]:
    """Register the package in ``files`` as the challenger, unless this very one is there.

    ``source`` is the folder of the model it was made from, ``work`` one for what is kept of the
    run. Returns the version, and whether it is new. Raises KindlingError.
    """
    sha256 = package.sha256(files)
    try:
        with registry.connect() as found:
            if known := found.find(name, sha256):
                found.offer(name, known)
                return known, False
            record = describe(uri, figures, work)
            return found.add(name, record, ImportedFlavor(files, source), sha256), True
    except PipelineError as error:
        raise KindlingError(error.message, next_step=error.next_step) from error


def describe(uri: str, figures: Figures, work: Path) -> Record:
    """What is kept of the run behind an imported version; ``work`` gets a folder of tables."""
    tables = work / "tables"
    tables.mkdir()
    (tables / "parity.json").write_text(json.dumps(figures.model_dump(), indent=2) + "\n")
    metrics = {
        "parity_rows": float(figures.rows + figures.example_rows + figures.boundary_rows),
        "parity_largest_difference": figures.largest_difference,
        "parity_disagreements": float(figures.disagreements),
        "parity_ties": float(figures.ties),
    }
    tags = {
        SOURCE_TAG: uri[:5000],
        "kindling.flavor": figures.flavor,
        "kindling.library": figures.library,
        "kindling.model": figures.model,
        "kindling.precision": figures.precision,
    }
    made = f"Converted from {uri[:500]}, a model of {figures.library}."
    return Record({}, metrics, [], tags, tables, made)
