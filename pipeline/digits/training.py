"""A scaler and a network of two hidden layers, as ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from pipeline import package
from pipeline.digits.params import Train
from pipeline.digits.preparation import Images, read

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def train(data: Path, out: Path, params: Train) -> None:
    """Write model.onnx and loss.csv; a few seconds."""
    images = read(data, "train")
    classifier = fit(images, params)
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.onnx").write_bytes(export(classifier, images))
    losses = enumerate(classifier[-1].loss_curve_, start=1)
    package.write_csv(out / "loss.csv", ("round", "training"), losses)


def fit(images: Images, params: Train) -> Pipeline:
    """The classifier, fitted to all of ``images``."""
    # Here and below: the other stages do without what takes a second to load.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = MLPClassifier(params.hidden, max_iter=params.rounds, random_state=params.seed)
    classifier = make_pipeline(StandardScaler(), network)
    # One thread: the same sums in the same order, and no fight over a machine that is busy.
    with warnings.catch_warnings(), threadpool_limits(1):
        # The rounds are chosen, not too few.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return classifier.fit(images.pixels, images.labels)


def export(classifier: Pipeline, images: Images) -> bytes:
    """The classifier as ONNX: float (n, 64) in, labels (n,) and probabilities (n, 10) out."""
    from skl2onnx import to_onnx

    options = {id(classifier): {"zipmap": False}}
    model = to_onnx(classifier, images.pixels[:1], options=options)
    # The converter keeps them in a set, whose order may be another in the next run.
    opsets = sorted(model.opset_import, key=lambda opset: str(opset.domain))
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    content: bytes = model.SerializeToString()
    return content
