"""The stages that every model goes through, and the folders that they hand on."""

from __future__ import annotations

import importlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from numpy.typing import NDArray

from pipeline import package
from pipeline.errors import PipelineError

MODELS = ("digits", "text")


@dataclass(frozen=True)
class Build:
    """The folders of one model's build, each the output of one stage."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def evaluation(self) -> Path:
        return self.root / "evaluation"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.json"


@dataclass(frozen=True)
class Evaluation:
    """What a model is worth on held-out data, and the content of its model.json."""

    metrics: dict[str, float]
    described: dict[str, Any]


class Model(Protocol):
    """What the package of a model, such as ``pipeline.digits``, offers."""

    NAME: str
    PACKAGE: tuple[str, ...]
    EXAMPLES: tuple[str, ...]
    Params: Any

    def prepare(self, out: Path, params: Any) -> None:
        """Write the data, split into training and held-out."""

    def train(self, data: Path, out: Path, params: Any) -> None:
        """Write model.onnx, what has to be beside it, and loss.csv."""

    def evaluate(self, data: Path, model: Path, out: Path) -> Evaluation:
        """Write model.json and the tables of plots, from the exported model and held-out data."""

    def example(self, build: Build) -> NDArray[Any]:
        """What the exported model could be given, one row."""


def load(name: str) -> Model:
    """The model of this name. Raises PipelineError, listing those there are."""
    if name not in MODELS:
        raise PipelineError(f"no model is named {name!r}", next_step=f"one of: {', '.join(MODELS)}")
    # Here, because nobody wants to wait for the libraries of the other model.
    return cast(Model, importlib.import_module(f"pipeline.{name}"))


def prepare(model: Model, build: Build, params: Any) -> None:
    """The first stage; what an earlier run left is removed, as in every stage."""
    shutil.rmtree(build.data, ignore_errors=True)
    model.prepare(build.data, params.prepare)


def train(model: Model, build: Build, params: Any) -> None:
    """The second stage, from the output of the first."""
    shutil.rmtree(build.model, ignore_errors=True)
    model.train(build.data, build.model, params.train)


def evaluate(model: Model, build: Build) -> Evaluation:
    """The third stage: also writes the metrics, and which data and which model they are about."""
    shutil.rmtree(build.evaluation, ignore_errors=True)
    evaluation = model.evaluate(build.data, build.model, build.evaluation)
    package.write_json(build.evaluation / "evaluated.json", _evaluated(build))
    package.write_json(build.metrics, evaluation.metrics, indent=2)
    return evaluation


def metrics(build: Build) -> dict[str, float]:
    """The metrics of the model and the data that are there now.

    Raises PipelineError when they are missing or about an earlier model.
    """
    try:
        known = json.loads((build.evaluation / "evaluated.json").read_text(encoding="utf-8"))
        found: dict[str, float] = json.loads(build.metrics.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known, found = None, {}
    if known is None or known != _evaluated(build):
        raise PipelineError(
            f"the model in {build.root} has not been evaluated", next_step="nox -s train"
        )
    return found


def assemble(model: Model, build: Build, folder: Path, *, examples: bool = False) -> None:
    """Copy the files of the package into ``folder``, which the service could load as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*model.PACKAGE, *(model.EXAMPLES if examples else ())):
        made = build.model / name
        shutil.copyfile(made if made.exists() else build.evaluation / name, folder / name)


def write_package(model: Model, folder: Path, params: Any) -> dict[str, Any]:
    """All stages at once, without a gate; returns the content of model.json."""
    with tempfile.TemporaryDirectory() as temporary:
        build = Build(Path(temporary))
        prepare(model, build, params)
        train(model, build, params)
        described = evaluate(model, build).described
        assemble(model, build, folder, examples=True)
    return described


def _evaluated(build: Build) -> dict[str, str]:
    return {"data": package.digest(build.data), "model": package.digest(build.model)}
