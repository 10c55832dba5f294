"""Train the digits classifier and write it as ONNX: ``python -m pipeline.digits OUTDIR``."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

SEED = 20
HELD_OUT_SHARE = 0.2
MIN_ACCURACY = 0.95
EXAMPLES = 8
_LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx")


class AccuracyTooLowError(Exception):
    """The trained model is worse on the held-out rows than it may be."""


@dataclass(frozen=True)
class Digits:
    """1797 images as (n, 64) pixels in 0..16, their (n,) labels, and which rows are held out."""

    pixels: NDArray[np.float32]
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    held_out: NDArray[np.int64]


def prepare() -> Digits:
    """Load the data and split it: the same rows are held out every time, in ascending order."""
    pixels, labels = load_digits(return_X_y=True)
    train, held_out = train_test_split(
        np.arange(len(labels)), test_size=HELD_OUT_SHARE, stratify=labels, random_state=SEED
    )
    return Digits(
        pixels.astype(np.float32), labels.astype(np.int64), np.sort(train), np.sort(held_out)
    )


def fit(data: Digits) -> Pipeline:
    """Fit a scaler and a network of two hidden layers on the training rows; a few seconds."""
    network = MLPClassifier(hidden_layer_sizes=(1024, 512), max_iter=20, random_state=SEED)
    classifier = make_pipeline(StandardScaler(), network)
    # One thread: the same sums in the same order, and no fight over a machine that is busy.
    with warnings.catch_warnings(), threadpool_limits(1):
        # Twenty rounds are chosen, not too few: more of them no longer help on held-out rows.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return classifier.fit(data.pixels[data.train], data.labels[data.train])


def export(classifier: Pipeline, data: Digits) -> bytes:
    """The classifier as ONNX: float (n, 64) in, labels (n,) and probabilities (n, 10) out."""
    options = {id(classifier): {"zipmap": False}}
    model = to_onnx(classifier, data.pixels[:1], options=options)
    # The converter keeps them in a set, whose order may be another in the next run.
    opsets = sorted(model.opset_import, key=lambda opset: str(opset.domain))
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    content: bytes = model.SerializeToString()
    return content


def evaluate(model: bytes, data: Digits) -> float:
    """The share of held-out rows that the exported model, not the Python one, gets right."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    pixels = data.pixels[data.held_out]
    labels = session.run(None, {session.get_inputs()[0].name: pixels})[0]
    return float(np.mean(labels == data.labels[data.held_out]))


def describe(model: bytes, accuracy: float, data: Digits) -> dict[str, Any]:
    """The metadata that goes beside the model; its version is the start of its SHA-256."""
    sha256 = hashlib.sha256(model).hexdigest()
    return {
        "name": "digits",
        "version": sha256[:12],
        "accuracy": accuracy,
        "sha256": sha256,
        "input_shape": [None, data.pixels.shape[1]],
        "seed": SEED,
        "libraries": {name: version(name) for name in _LIBRARIES},
        "held_out": data.held_out.tolist(),
    }


def write(outdir: Path, *, min_accuracy: float = MIN_ACCURACY) -> dict[str, Any]:
    """Train and write the model to ``outdir``; returns the metadata.

    model.onnx and model.json are what the service loads; request.json holds a few held-out rows as
    it takes them (``curl -d @request.json``), holdout.json the same with their labels.
    Raises AccuracyTooLowError, and then writes nothing.
    """
    data = prepare()
    model = export(fit(data), data)
    accuracy = evaluate(model, data)
    if accuracy < min_accuracy:
        raise AccuracyTooLowError(f"held-out accuracy is {accuracy:.4f}, less than {min_accuracy}")
    metadata = describe(model, accuracy, data)
    examples = data.held_out[:EXAMPLES]
    outdir.mkdir(parents=True, exist_ok=True)
    (outdir / "model.onnx").write_bytes(model)
    _write_json(outdir / "model.json", metadata)
    request = {"instances": data.pixels[examples].tolist()}
    _write_json(outdir / "request.json", request)
    _write_json(
        outdir / "holdout.json", {"request": request, "labels": data.labels[examples].tolist()}
    )
    return metadata


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code: 1 if the model is not good enough."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.digits", description=__doc__)
    parser.add_argument("outdir", type=Path, help="folder for model.onnx and its JSON files")
    try:
        metadata = write(parser.parse_args(arguments).outdir)
    except AccuracyTooLowError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"digits {metadata['version']}: held-out accuracy {metadata['accuracy']:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
