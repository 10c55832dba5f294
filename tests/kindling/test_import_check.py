"""A package that others made is opened and run where it can do no harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imported import COLUMNS, OUTPUTS, descriptor, graph, model
from onnx import TensorProto, helper, numpy_helper

from kindling import import_check
from kindling.errors import KindlingError

CITY = {"name": "city", "type": "string"}
WORDS = {"inputs": [COLUMNS[0], CITY], "graph_input": "columns"}


def by_column(*, raises: bool = False, kind: int = TensorProto.DOUBLE) -> bytes:
    """It gives back the age; with ``raises`` it wants to know the city."""
    nodes = [helper.make_node("Identity", ["age"], ["prediction"])]
    if raises:
        nodes.append(helper.make_node(
            "OneHotEncoder", ["city"], ["known"], domain="ai.onnx.ml", cats_strings=["Ulm"], zeros=0
        ))  # fmt: skip
    inputs = [helper.make_tensor_value_info("age", kind, [None, 1]),
              helper.make_tensor_value_info("city", TensorProto.STRING, [None, 1])]  # fmt: skip
    outputs = [helper.make_tensor_value_info("prediction", kind, [None, 1])]
    if raises:
        outputs.append(helper.make_tensor_value_info("known", TensorProto.FLOAT, [None, 1, 1]))
    return model(helper.make_graph(nodes, "g", inputs, outputs))


def outside() -> bytes:
    """Weights in a file of the host."""
    tensor = numpy_helper.from_array(np.ones((2, 1)), "ones")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/hostname")
    given = helper.make_tensor_value_info("columns", TensorProto.DOUBLE, [None, 2])
    gives = helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, [None, 1])
    node = helper.make_node("MatMul", ["columns", "ones"], ["prediction"])
    return model(helper.make_graph([node], "g", [given], [gives], [tensor]))


def bloated() -> bytes:
    """Much out of nothing."""
    size = numpy_helper.from_array(np.array([2**32], np.int64), "size")
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["much"]),
             helper.make_node("ReduceSum", ["much"], ["total"], keepdims=0),
             helper.make_node("Cast", ["total"], ["wide"], to=TensorProto.DOUBLE),
             helper.make_node("ReduceSum", ["columns"], ["sum"], keepdims=1),
             helper.make_node("Add", ["sum", "wide"], ["prediction"])]  # fmt: skip
    given = helper.make_tensor_value_info("columns", TensorProto.DOUBLE, [None, 2])
    gives = helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, [None, 1])
    return model(helper.make_graph(nodes, "g", [given], [gives], [size]))


def check(folder: Path, content: bytes, part: Any = None) -> None:
    (folder / "model.json").write_bytes(descriptor(part=part or {}))
    (folder / "model.onnx").write_bytes(content)
    import_check.check(folder, "mine")


def test_a_good_package_passes(tmp_path: Path) -> None:
    check(tmp_path, graph())
    check(tmp_path, by_column(), WORDS)


def test_an_encoder_that_raises_is_its_owners_choice(tmp_path: Path) -> None:
    outputs = [*OUTPUTS, {"name": "known", "type": "float", "size": 1}]
    check(tmp_path, by_column(raises=True), WORDS | {"outputs": outputs})


def test_an_encoder_of_numbers_may_know_no_zero(tmp_path: Path) -> None:
    nodes = [
        helper.make_node(
            "OneHotEncoder", ["children"], ["known"], domain="ai.onnx.ml", cats_int64s=[3], zeros=0
        ),
        helper.make_node("Cast", ["known"], ["prediction"], to=TensorProto.DOUBLE),
    ]
    given = helper.make_tensor_value_info("children", TensorProto.INT64, [None, 1])
    gives = helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, [None, 1, 1])
    content = model(helper.make_graph(nodes, "g", [given], [gives]))
    check(tmp_path, content, {"inputs": [COLUMNS[1]], "graph_input": "columns"})


@pytest.mark.parametrize(
    ("content", "part", "reason"),
    [
        (b"\x80\x04.", {}, "is not a model that can be run"),
        (outside(), {}, "is not a model that can be run"),
        (bloated(), {}, "memory|allocate|ended"),
        (graph(width=3), {}, "another number of columns"),
        (graph(), {"graph_input": "columns"}, "takes other columns"),
        (graph(out=TensorProto.FLOAT), {}, r"gives tensor\(float\)"),
        (graph(out=TensorProto.INT64), {}, r"gives tensor\(int64\)"),
        (graph(), {"outputs": [OUTPUTS[0] | {"size": 2}]}, "does not have 2 for each row"),
        (by_column(), {}, "does not take one matrix"),
        (by_column(), WORDS | {"inputs": [*COLUMNS, CITY]}, "takes other columns"),
        (by_column(), {"inputs": [COLUMNS[0], COLUMNS[1] | {"graph_name": "city"}],
                       "graph_input": "columns"}, r"takes children as tensor\(string\)"),
        (by_column(kind=TensorProto.INT8), WORDS, r"takes age as tensor\(int8\)"),
    ],
)  # fmt: skip
def test_a_bad_one_is_refused(content: bytes, part: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(KindlingError, match=f"is not taken: .*({reason})"):
        check(tmp_path, content, part)
