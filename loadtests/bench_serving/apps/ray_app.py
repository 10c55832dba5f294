"""``python ray_app.py MODEL.onnx PORT FOLDER``: the model in Ray Serve, in batches."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
import onnxruntime as ort
import ray
from ray import serve
from ray.serve.schema import LoggingConfig

_BATCH, _SECONDS = 16, 0.002


@serve.deployment(num_replicas=1, max_ongoing_requests=128, ray_actor_options={"num_cpus": 0})
class Classifier:
    """One row in each request."""

    def __init__(self, file: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    @serve.batch(max_batch_size=_BATCH, batch_wait_timeout_s=_SECONDS)
    async def predict(self, rows: list[list[float]]) -> list[dict[str, Any]]:
        """The label and the probabilities of each row."""
        labels, probabilities = self.session.run(None, {self.name: np.asarray(rows, np.float32)})
        return [
            {"label": label, "probabilities": shares}
            for label, shares in zip(labels.tolist(), probabilities.tolist(), strict=True)
        ]

    async def __call__(self, request: Any) -> Any:
        return await self.predict((await request.json())["row"])


if __name__ == "__main__":
    ray.init(
        num_cpus=1, include_dashboard=False, object_store_memory=80 << 20, log_to_driver=False,
        configure_logging=False, _temp_dir=sys.argv[3],
    )  # fmt: skip
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
    serve.run(
        Classifier.bind(sys.argv[1]), route_prefix="/predict",  # type: ignore[attr-defined]
        logging_config=LoggingConfig(enable_access_log=False, log_level="WARNING"),
    )  # fmt: skip
    threading.Event().wait()
