"""The package of a model as an MLflow model of the onnx flavor."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow.onnx
import onnx
import onnxruntime as ort
from mlflow.models import Model, infer_signature
from numpy.typing import NDArray

_REQUIREMENTS = ("onnx", "onnxruntime")


class PackageFlavor:
    """Saves what ``mlflow.onnx`` does, with every file of the package beside it, byte by byte.

    MLflow's own ``log_model`` would put extra files into a folder below.
    """

    def __init__(self, package: Path, example: NDArray[Any]) -> None:
        self._package, self._example = package, example

    def save_model(self, path: str, mlflow_model: Model, **_: Any) -> None:
        """What MLflow calls. ``path`` is a folder that is not there yet."""
        file = self._package / "model.onnx"
        session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
        results = session.run(None, {session.get_inputs()[0].name: self._example})
        names = [output.name for output in session.get_outputs()]
        outputs = dict(zip(names, results, strict=True))
        mlflow.onnx.save_model(
            onnx.load(file), path, mlflow_model=mlflow_model,
            signature=infer_signature(self._example, outputs), input_example=self._example,
            # Given, because MLflow would start a process to find them out.
            pip_requirements=[f"{name}=={version(name)}" for name in _REQUIREMENTS],
            onnx_execution_providers=["CPUExecutionProvider"], save_as_external_data=False,
        )  # fmt: skip
        # Also the model itself: what is read and written again need not have the same hash.
        shutil.copytree(self._package, path, dirs_exist_ok=True)
