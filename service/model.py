"""A digits classifier in ONNX: loading, checking and running it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from service.errors import ModelInvalidError, NotReadyError
from service.schemas import CLASSES, PIXELS

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]


class ModelMetadata(BaseModel):
    """What model.json says of model.onnx; further keys are left alone."""

    name: str
    version: str
    accuracy: float
    sha256: str
    input_shape: list[int | None]


class Model(Protocol):
    """What the app needs of a model."""

    @property
    def metadata(self) -> ModelMetadata | None:
        """What is known of the model; None until it is loaded and warmed."""

    def load(self) -> None:
        """Load and warm the model; blocks. Raises ModelInvalidError."""

    def predict(self, rows: Sequence[Sequence[float]]) -> tuple[Labels, Probabilities]:
        """Classify (n, 64) pixels into (n,) labels and (n, 10) probabilities; blocks."""


class OnnxModel:
    """A model in ``folder``: model.onnx, and model.json with its metadata and SHA-256."""

    def __init__(self, folder: Path, *, name: str, intra_op_threads: int = 1) -> None:
        self._folder = folder
        self._name = name
        self._threads = intra_op_threads
        self._session: ort.InferenceSession | None = None
        self._metadata: ModelMetadata | None = None

    @property
    def metadata(self) -> ModelMetadata | None:
        """What model.json says; None until the model is loaded and warmed."""
        return self._metadata

    def load(self) -> None:
        """Read both files, check them against each other, run one row.

        Raises ModelInvalidError with what is wrong; the model then stays unloaded.
        """
        metadata = self._read_metadata()
        self._session = self._open_session(metadata)
        try:
            labels, probabilities = self.predict([[0.0] * PIXELS])
        except Exception as error:
            raise ModelInvalidError(f"model.onnx does not run: {error}") from error
        if labels.shape != (1,) or probabilities.shape != (1, CLASSES):
            raise ModelInvalidError(
                f"model.onnx answers with shapes {labels.shape} and {probabilities.shape},"
                f" not (1,) and (1, {CLASSES})"
            )
        self._metadata = metadata

    def predict(self, rows: Sequence[Sequence[float]]) -> tuple[Labels, Probabilities]:
        """Classify rows of 64 pixels in 0..16: (n,) labels and (n, 10) probabilities.

        Thread-safe. Raises NotReadyError before the model is loaded.
        """
        if self._session is None:
            raise NotReadyError("the model is not loaded")
        pixels = np.asarray(rows, dtype=np.float32)
        name = self._session.get_inputs()[0].name
        labels, probabilities = self._session.run(None, {name: pixels})
        return labels, probabilities

    def _read_metadata(self) -> ModelMetadata:
        path = self._folder / "model.json"
        try:
            metadata = ModelMetadata.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ModelInvalidError(f"{path} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            fields = sorted({".".join(map(str, e["loc"])) or "JSON" for e in error.errors()})
            raise ModelInvalidError(f"{path} is not valid: {', '.join(fields)}") from error
        if metadata.name != self._name:
            raise ModelInvalidError(f"{path} is of model {metadata.name!r}, not {self._name!r}")
        if metadata.input_shape[1:] != [PIXELS]:
            raise ModelInvalidError(
                f"{path} has input shape {metadata.input_shape}, not [null, {PIXELS}]"
            )
        return metadata

    def _open_session(self, metadata: ModelMetadata) -> ort.InferenceSession:
        path = self._folder / "model.onnx"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelInvalidError(f"{path} cannot be read: {error.strerror}") from error
        actual = hashlib.sha256(content).hexdigest()
        if actual != metadata.sha256:
            raise ModelInvalidError(
                f"{path} has sha256 {actual}, model.json says {metadata.sha256}"
            )
        options = ort.SessionOptions()
        # Left alone, the runtime starts a thread per core of the host, whatever share is ours.
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelInvalidError(f"{path} is not a model that can be run: {error}") from error
