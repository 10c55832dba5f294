"""``python bare_app.py MODEL.onnx PORT``: a plain handler, with no features."""

from __future__ import annotations

import sys

import numpy as np
import onnxruntime as ort
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
app = FastAPI()


class Request(BaseModel):
    """Rows of numbers."""

    instances: list[list[float]]


@app.post("/predict")
async def predict(request: Request) -> dict[str, list[list[float]] | list[int]]:
    """The label and the probabilities of each row."""
    rows = np.asarray(request.instances, np.float32)
    labels, probabilities = session.run(None, {name: rows})
    return {"labels": labels.tolist(), "probabilities": probabilities.tolist()}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), access_log=False)
