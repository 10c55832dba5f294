"""Models for tables: what their graphs must be, and what they answer with."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import table_graphs as graphs
from onnx import TensorProto, helper
from table_models import load

from service.check import main
from service.errors import InvalidRequestError, ModelInvalidError, PredictionFailedError
from service.tabular import Tabular

ONE = {"inputs": [{"name": "x", "type": "double"}], "graph_input": "columns"}


def runner_of(files: dict[str, bytes], name: str) -> Tabular:
    runner = load(files, name).runner
    assert isinstance(runner, Tabular)
    return runner


def one_output(kind: str, size: int, shape: list[Any], rows: int = 1) -> dict[str, bytes]:
    part = ONE | {"outputs": [{"name": "y", "type": kind, "size": size}]}
    content = graphs.output_only(kind, shape, rows)
    return {"model.json": graphs.describe(part, "one"), "model.onnx": content}


def test_a_matrix_is_asked_about_as_one() -> None:
    label, probabilities = runner_of(graphs.sizes(), "sizes").predict(np.array([[1.0, 2], [9, 8]]))
    assert label.tolist() == ["small", "large"]
    assert probabilities.shape == (2, 2)
    assert probabilities.argmax(1).tolist() == [0, 1]


def test_columns_are_given_as_what_the_graph_takes_them_for() -> None:
    rows = np.array([[3.5, "Köln", True, 4], [math.nan, "Bonn", False, 2]], object)
    (found,) = runner_of(graphs.houses(), "houses").predict(rows)
    assert found.tolist() == [[1203.5, 4.0], [150.0, 2.0]]


@pytest.mark.parametrize(
    ("kind", "size", "shape", "expected"),
    [
        ("double", 1, ["N", 1], [2.5]), ("float", 1, ["N", 1], [2.5]), ("long", 1, ["N", 1], [2]),
        ("boolean", 1, ["N", 1], [True]), ("string", 1, ["N", 1], ["2.5"]),
    ],
)  # fmt: skip
def test_an_output_of_one_number_is_a_line(
    kind: str, size: int, shape: list[Any], expected: list[Any]
) -> None:
    (found,) = runner_of(one_output(kind, size, shape), "one").predict(np.array([[2.5]]))
    assert found.tolist() == expected


def test_what_is_too_large_for_single_precision_is_infinite_there() -> None:
    kind = helper.make_tensor_value_info
    content = graphs.graph(
        [helper.make_node("Less", ["x", "most"], ["y"])],
        {"most": np.array(1e30, np.float32)},
        [kind("x", TensorProto.FLOAT, ["N", 1])],
        [kind("y", TensorProto.BOOL, ["N", 1])],
    )
    files = one_output("boolean", 1, ["N", 1]) | {"model.onnx": content}
    (found,) = runner_of(files, "one").predict(np.array([[1e300], [1.0]]))
    assert found.tolist() == [False, True]


def test_numbers_that_are_none_are_no_answer() -> None:
    runner = runner_of(graphs.sizes(), "sizes")
    with pytest.raises(PredictionFailedError, match="numbers that are none"):
        runner.predict(np.array([[1.0, 2.0], [999.0, 2.0]]))


def test_another_number_of_rows_is_no_answer() -> None:
    with pytest.raises(ModelInvalidError, match=r"does not run: .* another shape"):
        load(one_output("double", 1, ["M", 1], rows=2), "one")


def test_a_row_that_is_made_up_may_be_one_that_the_model_does_not_know() -> None:
    runner = runner_of(graphs.houses(), "houses")
    runner.warm(3)
    with pytest.raises(InvalidRequestError, match="not one that the model knows"):
        runner.predict(np.array([[1.0, "", True, 4]], object))


def test_a_made_up_number_may_be_no_category_that_the_model_knows() -> None:
    kind = helper.make_tensor_value_info
    content = graphs.graph(
        [helper.make_node("OneHotEncoder", ["x"], ["known"], domain="ai.onnx.ml",
                          cats_int64s=[3, 5], zeros=0),
         helper.make_node("Reshape", ["known", "shape"], ["y"])],
        {"shape": np.array([-1, 2])},
        [kind("x", TensorProto.INT64, ["N", 1])],
        [kind("y", TensorProto.FLOAT, ["N", 2])],
    )  # fmt: skip
    part = {
        "inputs": [{"name": "x", "type": "long"}], "graph_input": "columns",
        "outputs": [{"name": "y", "type": "float", "size": 2}],
    }  # fmt: skip
    runner = runner_of({"model.json": graphs.describe(part, "one"), "model.onnx": content}, "one")
    runner.warm()
    (found,) = runner.predict(np.array([[5.0]]))
    assert found.tolist() == [[0.0, 1.0]]


def test_a_graph_without_strings_must_run() -> None:
    kind = helper.make_tensor_value_info
    content = graphs.graph(
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        {"table": np.zeros(0)},
        [kind("x", TensorProto.INT64, ["N", 1])],
        [kind("y", TensorProto.DOUBLE, ["N", 1])],
    )
    part = {
        "inputs": [{"name": "x", "type": "long"}], "graph_input": "columns",
        "outputs": [{"name": "y", "type": "double", "size": 1}],
    }  # fmt: skip
    with pytest.raises(ModelInvalidError, match=r"model\.onnx does not run"):
        load({"model.json": graphs.describe(part, "one"), "model.onnx": content}, "one")


def test_as_many_rows_are_tried_as_a_request_may_have(tmp_path: Any, monkeypatch: Any) -> None:
    tried: list[int] = []
    monkeypatch.setattr("service.check.confine", lambda *_: None)
    monkeypatch.setattr("service.check.give_way", lambda: None)
    monkeypatch.setattr(Tabular, "warm", lambda _, rows=1: tried.append(rows))
    for file, content in graphs.houses().items():
        (tmp_path / file).write_bytes(content)
    for most, numbers in (("256", "40"), ("8", "40"), ("8", "1")):
        assert main([str(tmp_path), "houses", "--max-batch", most, "--max-numbers", numbers]) == 0
    assert tried == [1, 10, 1, 8, 1, 1]


def _column(change: int, **changes: Any) -> dict[str, Any]:
    inputs: list[Any] = list(graphs.HOUSES["inputs"])
    inputs[change] = inputs[change] | changes
    return {"inputs": inputs}


HOUSE_OUTPUT = {"name": "prediction", "type": "double", "size": 2}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (graphs.sizes() | {"model.onnx": graphs.sizes_graph(3)}, r"\[N, 3\], not \[n, 2\]"),
        (
            graphs.sizes() | {"model.onnx": graphs.sizes_graph(kind=TensorProto.UINT8)},
            "not one matrix of numbers",
        ),
        (
            graphs.sizes() | {"model.onnx": graphs.sizes_graph(kind=TensorProto.INT64)},
            r"tensor\(int64\) \[N, 2\], not of floats or doubles",
        ),
        (graphs.houses(**_column(3, type="float")), r"rooms as tensor\(int64\), not float"),
        (graphs.houses(**_column(2, type="double")), r"garden as tensor\(bool\), not double"),
        (graphs.sizes() | {"model.onnx": graphs.houses_graph()}, "not one matrix of numbers"),
        (graphs.houses() | {"model.onnx": graphs.sizes_graph()}, "inputs x, not the columns age"),
        (graphs.houses(**_column(1, graph_name="town")), "not the columns age, garden, rooms, t"),
        (graphs.houses(**_column(1, type="double")), r"the city as tensor\(string\), not double"),
        (graphs.houses(**_column(3, type="string")), r"rooms as tensor\(int64\), not string"),
        (
            graphs.houses(outputs=[HOUSE_OUTPUT | {"type": "float"}]),
            r"output tensor\(double\) \[.*, 2\], not tensor\(float\)",
        ),
        (graphs.houses(outputs=[HOUSE_OUTPUT | {"size": 3}]), r"2\], not \[n, 3\]"),
        (graphs.houses(outputs=[HOUSE_OUTPUT, HOUSE_OUTPUT | {"name": "b"}]), "has output"),
        (one_output("double", 1, [1, 1]), r"not \[n, 1\]"),
        (graphs.houses() | {"model.onnx": b"no graph"}, "not a model that can be run"),
        (graphs.houses() | {"reference.json": b"{}"}, "reference"),
    ],
)
def test_a_graph_that_does_not_fit_its_descriptor_is_refused(
    files: dict[str, bytes], said: str, tmp_path: Any, capsys: Any, monkeypatch: Any
) -> None:
    name = "sizes" if b'"sizes"' in files["model.json"] else "houses"
    name = "one" if b'"one"' in files["model.json"] else name
    monkeypatch.setattr("service.check.confine", lambda *_: None)
    monkeypatch.setattr("service.check.give_way", lambda: None)
    for file, content in files.items():
        (tmp_path / file).write_bytes(content)
    assert main([str(tmp_path), name]) == 3
    told = capsys.readouterr().out
    assert re.search(said, told), told
