"""Small ONNX graphs of models for tables, and packages around them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

_ML = "ai.onnx.ml"
_KINDS = {
    "boolean": TensorProto.BOOL, "long": TensorProto.INT64, "float": TensorProto.FLOAT,
    "double": TensorProto.DOUBLE, "string": TensorProto.STRING,
}  # fmt: skip
CITIES = ("Bonn", "Köln")

# Large or small: by the sum of two numbers.
SIZES = {
    "inputs": [{"name": "0", "type": "double"}, {"name": "1", "type": "double"}],
    "outputs": [
        {"name": "label", "type": "string", "size": 1},
        {"name": "probabilities", "type": "float", "size": 2, "classes": ["small", "large"]},
    ],
    "graph_input": "matrix",
    "tensor": True,
}  # fmt: skip
# A price by where and how old a house is, and whether it has a garden; and by its rooms.
HOUSES = {
    "inputs": [
        {"name": "age", "type": "double", "optional": True},
        {"name": "the city", "type": "string", "graph_name": "city"},
        {"name": "garden", "type": "boolean"},
        {"name": "rooms", "type": "long"},
    ],
    "outputs": [{"name": "prediction", "type": "double", "size": 2}],
    "graph_input": "columns",
}  # fmt: skip


def describe(part: dict[str, Any], name: str, **changes: Any) -> bytes:
    """A model.json."""
    content = {"format": 1, "name": name, "kind": "tabular", "tabular": part, **changes}
    return json.dumps(content).encode()


def sizes(name: str = "sizes", **changes: Any) -> dict[str, bytes]:
    """Tells rows whose sum is above 10 from others; NaN above 1000."""
    return {"model.json": describe(SIZES | changes, name), "model.onnx": sizes_graph()}


def sizes_graph(columns: int = 2, kind: int = TensorProto.FLOAT) -> bytes:
    """The graph of ``sizes``, which counts in single precision."""
    encode = helper.make_node(
        "LabelEncoder", ["best"], ["label"], domain=_ML, keys_int64s=[0, 1],
        values_strings=["small", "large"],
    )  # fmt: skip
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["f", "axes"], ["sum"], keepdims=1),
        helper.make_node("Sub", ["sum", "ten"], ["over"]),
        helper.make_node("Sub", ["thousand", "sum"], ["under"]),
        helper.make_node("Sqrt", ["under"], ["root"]),
        helper.make_node("Mul", ["root", "zero"], ["nothing"]),
        helper.make_node("Mul", ["over", "sides"], ["scores"]),
        helper.make_node("Add", ["scores", "nothing"], ["told"]),
        helper.make_node("Softmax", ["told"], ["probabilities"]),
        helper.make_node("ArgMax", ["told"], ["best"], axis=1, keepdims=1),
        encode,
    ]
    weights = {
        "axes": np.array([1], np.int64), "ten": np.array(10, np.float32),
        "thousand": np.array(1000, np.float32), "zero": np.array(0, np.float32),
        "sides": np.array([[-1, 1]], np.float32),
    }  # fmt: skip
    value = helper.make_tensor_value_info
    return graph(
        nodes, weights, [value("x", kind, ["N", columns])],
        [
            value("label", TensorProto.STRING, ["N", 1]),
            value("probabilities", TensorProto.FLOAT, ["N", 2]),
        ],
    )  # fmt: skip


def houses(name: str = "houses", **changes: Any) -> dict[str, bytes]:
    """[age (50 if it is missing) + 100 in Bonn, 200 in Köln + 1000 with a garden, rooms]."""
    return {"model.json": describe(HOUSES | changes, name), "model.onnx": houses_graph()}


def houses_graph() -> bytes:
    """The graph of ``houses``; it fails on a city that it does not know."""
    double = TensorProto.DOUBLE
    nodes = [
        helper.make_node(
            "OneHotEncoder", ["city"], ["hot"], domain=_ML, cats_strings=list(CITIES), zeros=0
        ),
        helper.make_node("Cast", ["hot"], ["hot_d"], to=double),
        helper.make_node("Reshape", ["hot_d", "two"], ["hot_2"]),
        helper.make_node("MatMul", ["hot_2", "worth"], ["place"]),
        helper.make_node("IsNaN", ["age"], ["unknown"]),
        helper.make_node("Where", ["unknown", "fifty", "age"], ["known"]),
        helper.make_node("Cast", ["garden"], ["garden_d"], to=double),
        helper.make_node("Mul", ["garden_d", "thousand"], ["green"]),
        helper.make_node("Add", ["known", "place"], ["a"]),
        helper.make_node("Add", ["a", "green"], ["price"]),
        helper.make_node("Cast", ["rooms"], ["rooms_d"], to=double),
        helper.make_node("Concat", ["price", "rooms_d"], ["prediction"], axis=1),
    ]
    weights = {
        "two": np.array([-1, 2], np.int64), "worth": np.array([[100.0], [200.0]]),
        "fifty": np.array(50.0), "thousand": np.array(1000.0),
    }  # fmt: skip
    value = helper.make_tensor_value_info
    inputs = [
        value("age", double, [None, 1]), value("city", TensorProto.STRING, [None, 1]),
        value("garden", TensorProto.BOOL, [None, 1]), value("rooms", TensorProto.INT64, [None, 1]),
    ]  # fmt: skip
    return graph(nodes, weights, inputs, [value("prediction", double, [None, 2])])


def echo() -> dict[str, bytes]:
    """Says again what it is told, and fails at nothing: a number, 0 if it is missing, a text."""
    part = {
        "inputs": [
            {"name": "text", "type": "string"}, {"name": "x", "type": "double", "optional": True},
        ],
        "outputs": [
            {"name": "said", "type": "string", "size": 1},
            {"name": "number", "type": "double", "size": 1},
        ],
        "graph_input": "columns",
    }  # fmt: skip
    nodes = [
        helper.make_node("Identity", ["text"], ["said"]),
        helper.make_node("IsNaN", ["x"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "x"], ["number"]),
    ]
    value, double, string = helper.make_tensor_value_info, TensorProto.DOUBLE, TensorProto.STRING
    inputs = [value("text", string, ["N", 1]), value("x", double, ["N", 1])]
    outputs = [value("said", string, ["N", 1]), value("number", double, ["N", 1])]
    content = graph(nodes, {"zero": np.array(0.0)}, inputs, outputs)
    return {"model.json": describe(part, "echo"), "model.onnx": content}


def output_only(kind: str, shape: Sequence[int | str | None], rows: int = 1) -> bytes:
    """A graph of one column ``x`` of which ``kind`` and ``shape`` are those of its output."""
    nodes = [
        helper.make_node("Concat", ["x"] * rows, ["more"], axis=0),
        helper.make_node("Cast", ["more"], ["y"], to=_KINDS[kind]),
    ]
    value = helper.make_tensor_value_info
    inputs = [value("x", TensorProto.DOUBLE, ["N", 1])]
    return graph(nodes, {}, inputs, [value("y", _KINDS[kind], shape)])


def graph(
    nodes: Sequence[NodeProto],
    weights: dict[str, Any],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
) -> bytes:
    """A model of these nodes."""
    initial = [numpy_helper.from_array(weight, key) for key, weight in weights.items()]
    made = helper.make_graph(nodes, "graph", inputs, outputs, initial)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_ML, 3)]
    model: ModelProto = helper.make_model(made, opset_imports=opsets, ir_version=8)
    content: bytes = model.SerializeToString()
    return content
