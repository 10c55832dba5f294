"""Packages as the converter gives them, and its answers, without the converter."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

FIGURES = {
    "flavor": "sklearn", "library": "scikit-learn 1.9.1", "model": "Pipeline",
    "precision": "double", "rows": 1000, "example_rows": 3, "boundary_rows": 500,
    "largest_difference": 2e-8,
    "disagreements": 0, "ties": 0, "tolerance": 1e-4,
}  # fmt: skip
COLUMNS = [{"name": "age", "type": "double"}, {"name": "children", "type": "long"}]
OUTPUTS = [{"name": "prediction", "type": "double", "size": 1}]
PART: dict[str, Any] = {"inputs": COLUMNS, "outputs": OUTPUTS, "graph_input": "matrix"}


def descriptor(name: str = "mine", **changes: Any) -> bytes:
    part = PART | changes.pop("part", {})
    content = {"format": 1, "name": name, "kind": "tabular", "tabular": part, **changes}
    return json.dumps(content).encode()


def graph(*, width: int = 2, name: str = "columns", out: int = TensorProto.DOUBLE) -> bytes:
    """It adds up the columns of a matrix of doubles."""
    ones = numpy_helper.from_array(np.ones((width, 1)), "ones")
    nodes = [helper.make_node("MatMul", [name, "ones"], ["sum"]),
             helper.make_node("Cast", ["sum"], ["prediction"], to=out)]  # fmt: skip
    given = helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None, width])
    gives = helper.make_tensor_value_info("prediction", out, [None, 1])
    return model(helper.make_graph(nodes, "g", [given], [gives], [ones]))


def model(made: Any) -> bytes:
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    found: ModelProto = helper.make_model(made, opset_imports=opset, ir_version=9)
    return found.SerializeToString()


def answer(
    files: dict[str, bytes] | None = None, *, sizes: dict[str, int] | None = None, **changes: Any
) -> bytes:
    """What the converter writes: ``changes`` of the figures, ``sizes`` that it claims of files."""
    found = {"model.json": descriptor(), "model.onnx": graph()} if files is None else files
    said = {name: len(content) for name, content in found.items()} | (sizes or {})
    line = json.dumps({"done": FIGURES | changes, "files": said}).encode()
    return line + b"\n" + b"".join(found.values())
