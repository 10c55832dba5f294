"""``python lit_app.py MODEL.onnx PORT``: the model in LitServe, in batches."""

from __future__ import annotations

import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime as ort

_BATCH, _SECONDS = 16, 0.002


class Api(litserve.LitAPI):
    """One row in each request; what LitServe stacks is (n, 64)."""

    def setup(self, device: str) -> None:
        """Called in the process that runs the model."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(
            sys.argv[1], options, providers=["CPUExecutionProvider"]
        )
        self.name = self.session.get_inputs()[0].name

    # Without a type: LitServe would take one for the schema of the query.
    def decode_request(self, request):
        return request["row"]

    def batch(self, inputs: list[Any]) -> Any:
        return np.asarray(inputs, np.float32)

    def predict(self, x: Any) -> Any:
        return self.session.run(None, {self.name: x})

    def unbatch(self, output: Any) -> Any:
        labels, probabilities = output
        return list(zip(labels.tolist(), probabilities.tolist(), strict=True))

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"label": output[0], "probabilities": output[1]}


if __name__ == "__main__":
    api = Api(max_batch_size=_BATCH, batch_timeout=_SECONDS)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, log_level="warning",
        generate_client_file=False, access_log=False,
    )  # fmt: skip
