"""Small ONNX graphs, good and bad, and packages around them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import (
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    load_model_from_string,
    numpy_helper,
)

FEATURES = 64
CLASSES = 10


def describe(name: str = "digits", **changes: Any) -> bytes:
    """A model.json."""
    part = {"features": FEATURES, "minimum": 0, "maximum": 16, "classes": CLASSES}
    content = {
        "format": 1,
        "name": name,
        "kind": "classifier",
        "accuracy": 0.5,
        "classifier": part,
        **changes,
    }
    return json.dumps({key: value for key, value in content.items() if value is not None}).encode()


def package(label: int = 0, *, name: str = "digits", **changes: Any) -> dict[str, bytes]:
    """A model that answers ``label`` to everything."""
    return {"model.json": describe(name, **changes), "model.onnx": constant(label)}


def constant(label: int) -> bytes:
    """A classifier that finds each row to be of one class."""
    bias = np.zeros(CLASSES, np.float32)
    bias[label] = 9
    return classifier(
        [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["s"])],
        {"w": np.zeros((FEATURES, CLASSES), np.float32), "b": bias},
    )


def classifier(nodes: Sequence[NodeProto], weights: dict[str, Any], **options: Any) -> bytes:
    """A classifier of which ``nodes`` make scores ``s`` of the rows ``x``."""
    ends = [
        helper.make_node("Softmax", ["s"], ["probabilities"]),
        helper.make_node("ArgMax", ["s"], ["label"], axis=1, keepdims=0),
    ]
    return graph([*nodes, *ends], weights, **options)


def graph(
    nodes: Sequence[NodeProto],
    weights: dict[str, Any],
    *,
    inputs: Sequence[ValueInfoProto] | None = None,
    outputs: Sequence[ValueInfoProto] | None = None,
) -> bytes:
    """A model with the inputs and outputs of a classifier, or others."""
    value, label, score = helper.make_tensor_value_info, TensorProto.INT64, TensorProto.FLOAT
    made = helper.make_graph(
        nodes,
        "graph",
        inputs or [value("x", score, ["N", FEATURES])],
        outputs or [value("label", label, ["N"]), value("probabilities", score, ["N", CLASSES])],
        [
            weight if isinstance(weight, TensorProto) else numpy_helper.from_array(weight, key)
            for key, weight in weights.items()
        ],
    )
    model: ModelProto = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    content: bytes = model.SerializeToString()
    return content


def outside(location: str) -> bytes:
    """A classifier that keeps its weights in another file."""
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[FEATURES, CLASSES])
    weights.data_location = TensorProto.EXTERNAL
    length = str(4 * FEATURES * CLASSES)
    for key, value in {"location": location, "offset": "0", "length": length}.items():
        weights.external_data.add(key=key, value=value)
    return classifier([helper.make_node("MatMul", ["x", "w"], ["s"])], {"w": weights})


def twice() -> bytes:
    """A classifier that answers with twice as many rows as it is given."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Concat", ["m", "m"], ["s"], axis=0),
    ]
    return classifier(nodes, {"w": np.zeros((FEATURES, CLASSES), np.float32)})


def beyond() -> bytes:
    """A classifier that finds classes which it does not have."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["s"]),
        helper.make_node("Softmax", ["s"], ["probabilities"]),
        helper.make_node("ArgMax", ["s"], ["best"], axis=1, keepdims=0),
        helper.make_node("Add", ["best", "classes"], ["label"]),
    ]
    weights = {
        "w": np.zeros((FEATURES, CLASSES), np.float32),
        "classes": np.array(CLASSES, np.int64),
    }
    return graph(nodes, weights)


def bloated(megabytes: int) -> bytes:
    """A few bytes that become many as soon as the graph is opened or run."""
    size = np.array([megabytes * 2**18], np.int64)
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["large"]),
        helper.make_node("ReduceMax", ["large"], ["most"], keepdims=0),
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "most"], ["s"]),
    ]
    return classifier(nodes, {"size": size, "w": np.zeros((FEATURES, CLASSES), np.float32)})


def wide(numbers: int) -> bytes:
    """A classifier that needs so many numbers for every row."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"], end=1),
        helper.make_node("Concat", ["shape", "numbers"], ["size"], axis=0),
        helper.make_node("Expand", ["part", "size"], ["large"]),
        helper.make_node("ReduceMax", ["large"], ["most"], axes=[1]),
        helper.make_node("MatMul", ["most", "w"], ["s"]),
    ]
    weights = {
        "numbers": np.array([numbers], np.int64),
        "part": np.zeros((1, 1), np.float32),
        "w": np.zeros((1, CLASSES), np.float32),
    }
    return classifier(nodes, weights)


def endless() -> bytes:
    """A classifier that goes round in a loop for longer than anybody waits."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["before", "before"], ["after"]),
        ],
        "body",
        [
            value("round", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value("before", TensorProto.FLOAT, ["N", CLASSES]),
        ],
        [value("go_on", TensorProto.BOOL, []), value("after", TensorProto.FLOAT, ["N", CLASSES])],
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Loop", ["rounds", "", "m"], ["s"], body=body),
    ]
    weights = {
        "rounds": np.array(2**62, np.int64),
        "w": np.zeros((FEATURES, CLASSES), np.float32),
    }
    return classifier(nodes, weights)


def slowed(graph: bytes, *, seconds: float) -> bytes:
    """The classifier ``graph``, after about so many seconds of one core here spent on nothing."""
    once = _slowed(graph, rounds=50)
    session = ort.InferenceSession(once, _one_thread(), providers=["CPUExecutionProvider"])
    rows = np.zeros((1, FEATURES), np.float32)
    session.run(None, {session.get_inputs()[0].name: rows})
    began = time.perf_counter()
    session.run(None, {session.get_inputs()[0].name: rows})
    each = (time.perf_counter() - began) / 50
    return _slowed(graph, rounds=max(1, round(seconds / each)))


def _one_thread() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def _slowed(graph: bytes, *, rounds: int) -> bytes:
    model: ModelProto = load_model_from_string(graph)
    value, score = helper.make_tensor_value_info, TensorProto.FLOAT
    rows, probabilities = model.graph.input[0].name, model.graph.output[1].name
    for node in model.graph.node:
        for names in (node.output, node.input):
            names[:] = ["fast" if one == probabilities else one for one in names]
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["slow_in", "slow_w"], ["slow_m"]),
            helper.make_node("Tanh", ["slow_m"], ["slow_out"]),
            helper.make_node("Identity", ["slow_on"], ["slow_go"]),
        ],
        "slow",
        [
            value("slow_turn", TensorProto.INT64, []), value("slow_on", TensorProto.BOOL, []),
            value("slow_in", score, [256, 256]),
        ],
        [value("slow_go", TensorProto.BOOL, []), value("slow_out", score, [256, 256])],
    )  # fmt: skip
    weights = {
        "slow_w": np.full((256, 256), 0.01, np.float32),
        "slow_rounds": np.array(rounds, np.int64),
        "slow_yes": np.array(True),
        "slow_zero": np.array(0, np.float32),
    }
    model.graph.initializer.extend(numpy_helper.from_array(w, key) for key, w in weights.items())
    made = [
        # Of the rows, so that it is not worked out once and for all when the model is opened.
        helper.make_node("ReduceMean", [rows], ["slow_mean"], keepdims=0),
        helper.make_node("Add", ["slow_w", "slow_mean"], ["slow_start"]),
        helper.make_node(
            "Loop", ["slow_rounds", "slow_yes", "slow_start"], ["slow_end"], body=body
        ),
        helper.make_node("ReduceMean", ["slow_end"], ["slow_last"], keepdims=0),
        helper.make_node("Mul", ["slow_last", "slow_zero"], ["slow_nothing"]),
        helper.make_node("Add", ["fast", "slow_nothing"], [probabilities]),
    ]
    model.graph.node.extend(made)
    content: bytes = model.SerializeToString()
    return content


def in_the_runtimes_own_format() -> bytes:
    """A good classifier, as onnxruntime itself would store it."""
    with TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.optimized_model_filepath = f"{folder}/model.ort"
        options.add_session_config_entry("session.save_model_format", "ORT")
        ort.InferenceSession(constant(1), options, providers=["CPUExecutionProvider"])
        return Path(options.optimized_model_filepath).read_bytes()


def not_finite() -> bytes:
    """A classifier whose probabilities are no numbers."""
    return classifier(
        [helper.make_node("MatMul", ["x", "w"], ["s"])],
        {"w": np.full((FEATURES, CLASSES), np.nan, np.float32)},
    )
