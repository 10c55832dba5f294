"""What lies in the folder of an MLflow model: its estimator, signature and input example."""

from __future__ import annotations

import copy
import importlib
import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
from mlflow.models import Model

from importer.columns import Column, columns_of, with_missing
from importer.errors import RefusedError, one_line

# The flavor, the key of the version that the model was saved with, and the package.
_FLAVORS = {
    "sklearn": ("sklearn_version", "scikit-learn"),
    "xgboost": ("xgb_version", "xgboost"),
    "lightgbm": ("lgb_version", "lightgbm"),
}
_PACKAGES = {"xgboost": "xgboost-cpu"}
_HOW = (
    "log it with signature=mlflow.models.infer_signature(X, model.predict(X)),"
    " input_example=X.head() and import that"
)


@dataclass(frozen=True)
class Source:
    """A model as its owner logged it. ``example`` is a table, a matrix or None.

    ``predict_fn`` is what MLflow's pyfunc calls, ``saved`` the library that wrote the model.
    """

    model: Any
    flavor: str
    library: str
    columns: tuple[Column, ...]
    tensor: str
    example: Any
    predict_fn: str = "predict"
    saved: str = ""


def read(folder: Path) -> Source:
    """The model in ``folder``, loaded: code of its owner's runs. Raises RefusedError."""
    described = _described(folder)
    flavor = next((name for name in _FLAVORS if name in described.flavors), "")
    if not flavor:
        known = ", ".join(sorted(described.flavors)) or "none"
        raise RefusedError(
            f"its flavors are {known}; what is taken is sklearn, xgboost and lightgbm",
            "log the estimator itself with mlflow.sklearn, mlflow.xgboost or mlflow.lightgbm",
        )
    example = _example(described, folder)
    signature = described.signature
    if signature is None and example is not None:
        signature = mlflow.models.infer_signature(example)
    if signature is None or signature.inputs is None:
        raise RefusedError("it has neither a signature nor an input example", _HOW)
    columns, tensor = columns_of(signature.inputs)
    columns = with_missing(columns, example)
    _refuse_functions(described, folder, flavor)
    package = _FLAVORS[flavor][1]
    installed = version(_PACKAGES.get(package, package))
    model = _load(folder, flavor, described.flavors[flavor], installed)
    saved = str(described.flavors[flavor].get(_FLAVORS[flavor][0], "an unknown version"))
    return Source(
        model, flavor, f"{package} {installed}", columns, tensor, example,
        _predict_fn(described), f"{package} {saved}",
    )  # fmt: skip


def _predict_fn(described: Model) -> str:
    """What MLflow calls of the estimator. Raises RefusedError for what no package can have."""
    asked = str(described.flavors.get("python_function", {}).get("predict_fn", "predict"))
    if asked not in ("predict", "predict_proba"):
        raise RefusedError(
            f"it was logged with pyfunc_predict_fn={asked}; predict and predict_proba are taken",
            "log it without pyfunc_predict_fn",
        )
    return asked


def _described(folder: Path) -> Model:
    try:
        return Model.load(str(folder))
    except Exception as error:
        raise RefusedError(
            f"its MLmodel file cannot be read: {one_line(error)}",
            "name a folder, run or version that MLflow wrote",
        ) from error


def _example(described: Model, folder: Path) -> Any:
    try:
        try:
            return described.load_input_example(str(folder))
        except Exception:
            # Integers of which one is missing do not fit a signature of integers.
            plain = copy.copy(described)
            plain.signature = None
            return plain.load_input_example(str(folder))
    except Exception as error:
        raise RefusedError(
            f"its input example cannot be read: {one_line(error)}",
            "log it with a table or a matrix as input_example",
        ) from error


def _refuse_functions(described: Model, folder: Path, flavor: str) -> None:
    """Refuse what would end this process: functions pickled by another version of Python."""
    saved = str(described.flavors.get("python_function", {}).get("python_version", ""))
    here = platform.python_version()
    pickled = folder / str(described.flavors[flavor].get("pickled_model", ""))
    if saved.split(".")[:2] == here.split(".")[:2] or not pickled.is_file():
        return
    if b"_make_function" in pickled.read_bytes():
        raise RefusedError(
            f"it holds a function of its own, of Python {saved or '?'}, which {here} cannot read",
            "do that to the data before the pipeline, or use a transformer of scikit-learn",
        )


def _load(folder: Path, flavor: str, described: dict[str, Any], installed: str) -> Any:
    # That is what the container is for.
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "true"
    key, package = _FLAVORS[flavor]
    saved = str(described.get(key, "an unknown version"))
    module = importlib.import_module(f"mlflow.{flavor}")
    try:
        return module.load_model(str(folder))
    except ModuleNotFoundError as error:
        raise RefusedError(
            f"it needs the module {error.name}, which is not here",
            "log it with code_paths=[...] if that is yours; other libraries are not taken",
        ) from error
    except Exception as error:
        said = f"{type(error).__name__}: {one_line(error)}"
        if saved != installed:
            raise RefusedError(
                f"it was saved with {package} {saved} and cannot be loaded by {installed}: {said}",
                f"train and log it again with {package} {installed}",
            ) from error
        raise RefusedError(
            f"it cannot be loaded: {said}",
            f"try mlflow.{flavor}.load_model on it; what fails there fails here",
        ) from error
