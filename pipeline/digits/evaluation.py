"""How the exported classifier does on the images that it has never seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pipeline import package, reference
from pipeline.digits.params import NAME
from pipeline.digits.preparation import Images, read
from pipeline.stages import Build, Evaluation

_EXAMPLES = 8
_CLASSES = 10


def evaluate(data: Path, model: Path, out: Path) -> Evaluation:
    """Write model.json, reference.json, examples, and tables of what is taken for what."""
    held_out, seen = read(data, "held_out"), read(data, "train")
    labels = predict(model / "model.onnx", held_out.pixels)
    right = labels == held_out.labels
    majority = np.bincount(seen.labels).argmax()
    metrics = {
        "accuracy": float(np.mean(right)),
        "majority_accuracy": float(np.mean(held_out.labels == majority)),
        "examples": len(right),
    }
    classifier = {
        "features": held_out.pixels.shape[1], "minimum": 0, "maximum": 16, "classes": _CLASSES,
    }  # fmt: skip
    described = package.describe(NAME, "classifier", metrics["accuracy"], classifier=classifier)
    package.write_json(out / "model.json", described)
    package.write_csv(
        out / "confusion.csv", ("actual", "predicted"), zip(held_out.labels, labels, strict=True)
    )
    package.write_csv(
        out / "accuracy_by_digit.csv", ("digit", "accuracy"),
        ((digit, float(np.mean(right[held_out.labels == digit]))) for digit in range(_CLASSES)),
    )  # fmt: skip
    _write_examples(out, held_out)
    _write_reference(out, seen, predict(model / "model.onnx", seen.pixels))
    return Evaluation(metrics, described)


def predict(model: Path, pixels: NDArray[np.float32]) -> NDArray[np.int64]:
    """The labels that the exported model, not the Python one, gives to (n, 64) pixels."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    labels: NDArray[np.int64] = session.run(None, {session.get_inputs()[0].name: pixels})[0]
    return labels


def example(build: Build) -> NDArray[np.float32]:
    """One held-out image as (1, 64) pixels."""
    return read(build.data, "held_out").pixels[:1]


def _write_examples(out: Path, images: Images) -> None:
    request = {"instances": images.pixels[:_EXAMPLES].tolist()}
    package.write_json(out / "request.json", request)
    labels = images.labels[:_EXAMPLES].tolist()
    package.write_json(out / "holdout.json", {"request": request, "labels": labels})


def _write_reference(out: Path, seen: Images, labels: NDArray[np.int64]) -> None:
    # Those of all pixels for each: what one never was in training is what matters most.
    inner = reference.edges(seen.pixels)
    features = [
        reference.feature(f"pixel_{index}", column, inner)
        for index, column in enumerate(seen.pixels.T)
    ]
    reference.write(out, features, labels, classes=_CLASSES)
