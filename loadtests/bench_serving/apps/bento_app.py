"""``bentoml serve bento_app:Classifier``: the model named by MODEL, in batches."""

from __future__ import annotations

import os
from typing import Any

import bentoml
import numpy as np
import onnxruntime as ort

_BATCH, _MILLISECONDS = 64, 1000


@bentoml.service(workers=1, traffic={"timeout": 30}, logging={"access": {"enabled": False}})
class Classifier:
    """One row in each request; what BentoML stacks is (n, 64)."""

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(
            os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
        )
        self.name = self.session.get_inputs()[0].name

    @bentoml.api(batchable=True, max_batch_size=_BATCH, max_latency_ms=_MILLISECONDS)
    def predict(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """The label and the probabilities of each row."""
        labels, probabilities = self.session.run(None, {self.name: rows.astype(np.float32)})
        return [
            {"label": label, "probabilities": shares}
            for label, shares in zip(labels.tolist(), probabilities.tolist(), strict=True)
        ]
