"""The digits classifier: scikit-learn's images of handwritten digits and a small network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pipeline import params as parameters
from pipeline import stages
from pipeline.digits.evaluation import evaluate, example
from pipeline.digits.params import NAME, Params
from pipeline.digits.preparation import prepare
from pipeline.digits.training import train

__all__ = ["EXAMPLES", "NAME", "PACKAGE", "Params", "evaluate", "example", "prepare", "train"]

PACKAGE = ("model.json", "model.onnx", "reference.json")
EXAMPLES = ("holdout.json", "request.json")


def write_package(folder: Path, *, params: Params | None = None) -> dict[str, Any]:
    """Prepare, train and evaluate; a few seconds. Returns the content of model.json.

    Writes model.json, model.onnx and reference.json, which are what the service loads, and a few
    held-out images:
    request.json as the service takes them, holdout.json the same with their labels.
    """
    chosen = params or parameters.load(NAME, Params)
    return stages.write_package(sys.modules[__name__], folder, chosen)
