"""What model.json may say of a model for tables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.digests import check_files
from service.errors import ModelInvalidError, ModelRefusedError
from service.package import Descriptor, parse_descriptor

INPUTS = [{"name": "age", "type": "double", "optional": True}, {"name": "city", "type": "string"}]
OUTPUTS = [
    {"name": "label", "type": "string", "size": 1},
    {"name": "probabilities", "type": "float", "size": 2, "classes": ["no", "yes"]},
]
PART = {"inputs": INPUTS, "outputs": OUTPUTS, "graph_input": "columns"}
COLUMN, OUTPUT = INPUTS[0], OUTPUTS[0]
MATRIX = {"inputs": INPUTS[:1], "graph_input": "matrix"}


def parse(part: Any, **changes: Any) -> Descriptor:
    content = {"format": 1, "name": "people", "kind": "tabular", "tabular": part, **changes}
    return parse_descriptor(json.dumps(content).encode(), "people")


def test_a_table_is_described() -> None:
    found = parse(PART)
    assert found.accuracy is None
    part = found.tabular
    assert part is not None
    assert [(column.name, column.optional) for column in part.inputs] == [
        ("age", True), ("city", False),
    ]  # fmt: skip
    assert part.outputs[1].classes == ("no", "yes")
    assert part.tensor is False


def test_a_column_may_have_another_name_in_the_graph() -> None:
    part = parse(PART | {"inputs": [COLUMN | {"graph_name": "age_1"}, INPUTS[1]]}).tabular
    assert part is not None
    assert [column.in_graph for column in part.inputs] == ["age_1", "city"]


@pytest.mark.parametrize("classes", [[0, 1], [False, True], ["a", "b"], [0.5, 1.5]])
def test_classes_stay_what_they_are(classes: list[Any]) -> None:
    part = parse(PART | {"outputs": [OUTPUTS[0], OUTPUTS[1] | {"classes": classes}]}).tabular
    assert part is not None
    assert [(type(one), one) for one in part.outputs[1].classes or ()] == [
        (type(one), one) for one in classes
    ]


def test_its_files_are_the_descriptor_and_the_graph() -> None:
    check_files({"model.json": "0", "model.onnx": "0"}, "tabular")
    with pytest.raises(ModelRefusedError, match=r"model\.json, model\.onnx"):
        check_files({"model.json": "0", "model.onnx": "0", "tokenizer.model": "0"}, "tabular")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"inputs": []}, "inputs"),
        ({"inputs": [{"name": str(k), "type": "long"} for k in range(1001)]}, "inputs"),
        ({"inputs": [COLUMN, COLUMN]}, "tabular"),
        ({"inputs": [COLUMN, INPUTS[1] | {"graph_name": "age"}]}, "tabular"),
        ({"inputs": [COLUMN | {"name": "x" * 101}]}, "inputs.0.name"),
        ({"inputs": [COLUMN | {"name": ""}]}, "inputs.0.name"),
        ({"inputs": [COLUMN | {"type": "datetime"}]}, "inputs.0.type"),
        ({"inputs": [COLUMN | {"type": "long"}]}, "inputs.0"),
        ({"inputs": [COLUMN | {"optional": 1}]}, "inputs.0.optional"),
        ({"outputs": []}, "outputs"),
        ({"outputs": [OUTPUT, OUTPUT]}, "tabular"),
        ({"outputs": [OUTPUT | {"size": 0}]}, "outputs.0.size"),
        ({"outputs": [OUTPUT | {"size": 100_001}]}, "outputs.0.size"),
        ({"outputs": [OUTPUT | {"type": "integer"}]}, "outputs.0.type"),
        ({"outputs": [OUTPUTS[1] | {"classes": ["no"]}]}, "outputs.0"),
        ({"outputs": [OUTPUTS[1] | {"classes": [None, "x"]}]}, "outputs.0.classes.0"),
        ({"outputs": [OUTPUTS[1] | {"type": "string"}]}, "outputs.0"),
        ({"graph_input": "rows"}, "graph_input"),
        ({"graph_input": "matrix"}, "tabular"),
        (MATRIX | {"tensor": True}, "tabular"),
    ],
)
def test_what_cannot_be_is_not_valid(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ModelInvalidError, match=rf"not valid: .*\b{field}"):
        parse(PART | change)


def test_a_matrix_of_numbers_is_valid() -> None:
    assert parse(PART | MATRIX).tabular is not None
    inputs = [{"name": str(k), "type": "float"} for k in range(12)]
    assert parse(PART | MATRIX | {"inputs": inputs, "tensor": True}).tabular is not None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"accuracy": 0.5}, "accuracy"),
        ({"kind": "classifier"}, "accuracy"),
        ({"tabular": None}, "JSON"),
        ({"text": {"vocabulary": 9, "context": 9}}, "JSON"),
    ],
)
def test_the_parts_belong_to_the_kind(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ModelInvalidError, match=f"not valid: .*{field}"):
        parse(PART, **changes)
