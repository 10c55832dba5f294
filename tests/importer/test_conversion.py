"""What converts says the same as its original, asked as the service asks it: by the descriptor."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from converter import Made, run
from numpy.typing import NDArray

from kindling import import_answer
from kindling.import_answer import TOLERANCE, Answer
from service.onnx import open_session
from service.package import parse_descriptor
from service.package_tabular import TabularPart

_NUMPY = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}

LABELS = {"name": "label", "size": 1, "classes": None}
# A graph whose rounding leaves probabilities a little outside, finished as all are.
ROUNDED = """
import json, numpy as np, onnx, onnxruntime
from onnx import TensorProto as T, helper, numpy_helper
from importer.answers import Output
from importer.convert import OPSET, _finish
given = helper.make_tensor_value_info("x", T.DOUBLE, [None, 2])
made = [helper.make_tensor_value_info(name, T.DOUBLE, [None, 2]) for name in ("l", "p")]
nodes = [helper.make_node("Identity", ["x"], [one.name]) for one in made]
graph = helper.make_graph(nodes, "g", [given], made)
outputs = [Output("label", "double", 2), Output("probabilities", "float", 2, (0, 1), 1)]
_finish(graph, outputs)
opsets = [helper.make_opsetid(*one) for one in OPSET.items()]
model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
session = onnxruntime.InferenceSession(model.SerializeToString())
row = np.array([[-1.5e-8, 1 + 2e-7]])
print(json.dumps(session.run(["probabilities"], {"x": row})[0].tolist()))
"""
NUMBERS = {"name": "prediction", "size": 1, "classes": None}


def part_of(answer: Answer) -> TabularPart:
    part = parse_descriptor(answer.files["model.json"], "mine").tabular
    assert part is not None
    return part


def ask(answer: Answer, rows: list[list[Any]]) -> list[NDArray[Any]]:
    """What the graph makes of rows as they come in JSON, in the words of the descriptor alone."""
    part = part_of(answer)
    session = open_session(answer.files["model.onnx"], intra_op_threads=1)
    feed: dict[str, Any] = {}
    if part.graph_input == "matrix":
        (only,) = session.get_inputs()
        feed[only.name] = np.array(rows, object).astype(_NUMPY[only.type])
    else:
        kinds = {one.name: one.type for one in session.get_inputs()}
        for place, column in enumerate(part.inputs):
            values = np.array([[row[place]] for row in rows], object)
            if column.type != "string":
                values = values.astype(_NUMPY[kinds[column.in_graph]])
            feed[column.in_graph] = values
    return [np.asarray(one) for one in session.run(None, feed)]


def agree(answer: Answer, truth: dict[str, Any]) -> None:
    """Every output of the graph is that of the original, on all rows."""
    part, found = part_of(answer), ask(answer, truth["rows"])
    wanted = [np.array(truth["predict"])]
    proba = truth["predict_proba"]
    if proba is not None:
        deep = isinstance(proba[0][0], list)
        wanted += [np.array(one) for one in (proba if deep else [proba])]
    assert len(found) == len(wanted) == len(part.outputs)
    for output, got, want in zip(part.outputs, found, wanted, strict=True):
        assert got.shape == (len(truth["rows"]), output.size)
        want = want.reshape(got.shape)
        if want.dtype.kind == "f":
            away = np.abs(got - want) / np.maximum(1, np.abs(want))
            assert away.max() <= TOLERANCE
        else:
            assert (got.astype(str) == want.astype(str)).all()


@pytest.mark.parametrize(
    "name",
    [
        "pipeline", "odd_names", "forest", "multi_regressor", "multi_linear", "multi_classifier",
        "xgboost_classifier", "xgboost_binary", "xgboost_regressor", "xgboost_native",
        "xgboost_native_binary", "xgboost_native_softmax", "lightgbm_regressor",
        "lightgbm_classifier", "lightgbm_binary", "lightgbm_native", "lightgbm_missing",
        "boosted_pipeline", "light_pipeline", "ordinal_forest", "histogram", "gradient",
        "no_probabilities", "neighbours", "skops", "xgboost_whole",
        "words", "unequal", "first_words", "wine", "halves", "nullable",
    ],
)  # fmt: skip
def test_it_says_of_a_thousand_rows_what_its_original_says(
    name: str, made: Callable[[str], Made], converted: Callable[[str], Answer]
) -> None:
    agree(converted(name), made(name).truth)


def test_a_process_of_its_own_says_the_same(
    made: Callable[[str], Made], converted: Callable[[str], Answer]
) -> None:
    model, forked = made("pipeline"), converted("pipeline")
    done = run("-m", "importer", model.folder, "mine")
    assert done.returncode == 0, done.stderr.decode()
    answer = import_answer.read(io.BytesIO(done.stdout), "mine")
    assert answer.figures == forked.figures
    assert answer.files["model.json"] == forked.files["model.json"]
    agree(answer, model.truth)


def test_the_pipeline_is_described(converted: Callable[[str], Answer]) -> None:
    answer = converted("pipeline")
    part = part_of(answer)
    assert [(one.name, one.type, one.optional) for one in part.inputs] == [
        ("age", "double", True), ("income", "double", True), ("children", "long", False),
        ("city", "string", False),
    ]  # fmt: skip
    assert [one.model_dump(exclude={"type"}) for one in part.outputs] == [
        LABELS, {"name": "probabilities", "size": 3, "classes": ("maybe", "no", "yes")},
    ]  # fmt: skip
    assert [one.type for one in part.outputs] == ["string", "float"]
    assert (part.graph_input, part.tensor) == ("columns", False)
    figures = answer.figures
    assert (figures.rows, figures.example_rows, figures.disagreements) == (1000, 3, 0)
    assert figures.library.startswith("scikit-learn ")


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("forest", [LABELS, {"name": "probabilities", "size": 3, "classes": (0, 1, 2)}]),
        ("multi_regressor", [NUMBERS | {"size": 2}]),
        ("multi_classifier", [
            LABELS | {"size": 2},
            {"name": "probabilities_0", "size": 2, "classes": (0, 1)},
            {"name": "probabilities_1", "size": 2, "classes": (0, 1)},
        ]),
        ("xgboost_native", [NUMBERS | {"size": 3}]),
        ("xgboost_native_binary", [NUMBERS]),
        ("no_probabilities", [LABELS]),
    ],
)  # fmt: skip
def test_outputs_are_those_of_predict_and_predict_proba(
    name: str, outputs: list[dict[str, Any]], converted: Callable[[str], Answer]
) -> None:
    part = part_of(converted(name))
    assert [one.model_dump(exclude={"type"}) for one in part.outputs] == outputs


def test_what_the_owner_serves_comes_first(
    made: Callable[[str], Made], converted: Callable[[str], Answer]
) -> None:
    answer, truth = converted("probabilities_first"), made("probabilities_first").truth
    assert [one.name for one in part_of(answer).outputs] == ["probabilities", "label"]
    first, labels = ask(answer, truth["rows"])
    assert np.abs(first - np.array(truth["predict_proba"])).max() <= TOLERANCE
    assert labels.ravel().tolist() == truth["predict"]


def test_a_category_that_the_model_refuses_fails(converted: Callable[[str], Answer]) -> None:
    known, unknown = [30.0, 1e4, 2, "Bonn"], [30.0, 1e4, 2, "Berlin"]
    (found,) = ask(converted("ordinal_forest"), [known])
    assert found.shape == (1, 1)
    with pytest.raises(Exception, match="Unknown Category"):
        ask(converted("ordinal_forest"), [unknown])


def test_probabilities_are_none_below_zero_or_above_one() -> None:
    done = run("-c", ROUNDED)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == [[0.0, 1.0]]


def test_a_matrix_has_numbered_columns(converted: Callable[[str], Answer]) -> None:
    part = part_of(converted("forest"))
    assert [one.name for one in part.inputs] == ["0", "1", "2", "3", "4"]
    assert (part.graph_input, part.tensor) == ("matrix", True)


def test_what_may_be_missing_is_what_the_model_takes(converted: Callable[[str], Answer]) -> None:
    def optional(name: str) -> list[bool]:
        return [one.optional for one in part_of(converted(name)).inputs]

    assert optional("nullable") == [True, True]
    # LightGBM takes what is missing, of columns that never were in training too; Ridge does not.
    assert optional("lightgbm_missing") == [True, True, False]
    assert not any(optional("skops"))
