"""The two models, in each form that a server of the benchmark takes."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from pipeline import digits, package, params, reference
from pipeline.digits.preparation import Images, read
from pipeline.digits.training import export

NAMES = ("logistic", "forest")
TITLES = {"logistic": "logistic regression", "forest": "forest of 100 trees"}
# How many held-out rows get the label that scikit-learn gives from each server.
ROWS = 200
_SEED = 20
_CLASSES = 10


@dataclass(frozen=True)
class Model:
    """A model in ``folder``, and what scikit-learn says of ``rows``, each of 64 numbers.

    Below the folder are ``package``, what our service loads, whose model.onnx others take too;
    ``model.joblib``; and ``mlflow``, an MLflow model.
    """

    name: str
    folder: Path
    rows: Sequence[Sequence[float]]
    labels: Sequence[int]

    @property
    def onnx(self) -> Path:
        return self.folder / "package" / "model.onnx"

    @property
    def joblib(self) -> Path:
        return self.folder / "model.joblib"

    @property
    def mlflow(self) -> Path:
        return self.folder / "mlflow"


def make(name: str, folder: Path) -> Model:
    """Train ``name`` on the digits and write it in each form; a second or two."""
    with tempfile.TemporaryDirectory() as data:
        digits.prepare(Path(data), params.load(digits.NAME, digits.Params).prepare)
        seen, held_out = read(Path(data), "train"), read(Path(data), "held_out")
    classifier = _classifier(name).fit(seen.pixels, seen.labels)
    labels: NDArray[np.int64] = classifier.predict(held_out.pixels)
    made = Model(name, folder, held_out.pixels[:ROWS].tolist(), labels[:ROWS].tolist())
    _write_package(made, classifier, seen, float(np.mean(labels == held_out.labels)))
    joblib.dump(classifier, made.joblib)
    _save_mlflow(classifier, made.mlflow)
    return made


def _save_mlflow(classifier: Any, folder: Path) -> None:
    # It warns of pickles, whoever made them; this one is ours.
    logging.getLogger("mlflow.sklearn").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # Of a hint in its own code, at its first use.
        warnings.simplefilter("ignore", UserWarning)
        import mlflow.sklearn

        mlflow.sklearn.save_model(
            # Given, because MLflow would start a process to find them out.
            classifier, folder, pip_requirements=["scikit-learn"],
            serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_PICKLE,
        )  # fmt: skip


def _classifier(name: str) -> Any:
    if name == "logistic":
        return LogisticRegression(max_iter=5000, random_state=_SEED)
    return RandomForestClassifier(100, random_state=_SEED)


def _write_package(made: Model, classifier: Any, seen: Images, accuracy: float) -> None:
    folder = made.folder / "package"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(export(classifier, seen))
    part = {"features": seen.pixels.shape[1], "minimum": 0, "maximum": 16, "classes": _CLASSES}
    described = package.describe(made.name, "classifier", accuracy, classifier=part)
    (folder / "model.json").write_text(json.dumps(described))
    inner = reference.edges(seen.pixels)
    features = [
        reference.feature(f"pixel_{index}", column, inner)
        for index, column in enumerate(seen.pixels.T)
    ]
    reference.write(folder, features, classifier.predict(seen.pixels), classes=_CLASSES)
