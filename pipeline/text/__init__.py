"""The text generator: a small language model of what Python libraries say about themselves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pipeline import params as parameters
from pipeline import stages
from pipeline.text.evaluation import evaluate, example
from pipeline.text.params import NAME, Params, Prepare, Train
from pipeline.text.preparation import prepare
from pipeline.text.training import train

__all__ = [
    "EXAMPLES",
    "NAME",
    "PACKAGE",
    "TINY",
    "Params",
    "evaluate",
    "example",
    "prepare",
    "train",
]

PACKAGE = ("model.json", "model.onnx", "reference.json", "tokenizer.model")
EXAMPLES: tuple[str, ...] = ()
# For tests: trains in about two seconds, and knows little.
TINY = Params(
    Prepare(
        sources=("sklearn/cluster", "sklearn/linear_model"), held_out_share=0.1, vocabulary=384
    ),
    Train(
        seed=1, kernels=(2, 2, 2), embedding=16, hidden=32, tables=(64, 128), table_factor=2.0,
        passes=1.0, batch=256, learning_rate=0.02, weight_decay=0.1,
    ),
    gate={},
)  # fmt: skip


def write_package(folder: Path, *, params: Params | None = None) -> dict[str, Any]:
    """Prepare, train and evaluate: a minute, or with ``TINY`` seconds.

    Writes what the service loads: model.json, whose content is returned, model.onnx,
    reference.json and tokenizer.model.
    """
    chosen = params or parameters.load(NAME, Params)
    return stages.write_package(sys.modules[__name__], folder, chosen)
