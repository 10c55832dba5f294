"""POST /invocations of models for tables: MLflow's own client and formats, and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
import table_graphs as graphs
from conftest import Server, keep_copy
from fastapi.testclient import TestClient
from table_models import load

from service.models import Served

with warnings.catch_warnings():
    # MLflow's, about itself.
    warnings.simplefilter("ignore")
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

FRAME = pd.DataFrame(
    {"age": [3.5, np.nan], "the city": ["Köln", "Bonn"], "garden": [True, False], "rooms": [4, 2]}
)
PRICES = [[1203.5, 4.0], [150.0, 2.0]]
ROWS = [[3.5, "Köln", True, 4], [None, "Bonn", False, 2]]
RECORDS = [dict(zip(FRAME, row, strict=True)) for row in ROWS]
HOUSES = {"params": {"model": "houses"}}


@pytest.fixture
def client(make_client: Callable[..., TestClient], served: Served) -> TestClient:
    """A client of an app with a classifier, and models for tables after it."""
    tables = load(graphs.houses(), "houses"), load(graphs.sizes(), "sizes")
    return make_client(served, *tables, max_batch=2)


def test_mlflows_client_gets_the_first_output(
    serve: Callable[..., Server], cache_dir: Path
) -> None:
    keep_copy(cache_dir, "houses", "1", graphs.houses())
    keep_copy(cache_dir, "sizes", "1", graphs.sizes())
    parts = urlsplit(serve(models="digits,houses,sizes").url)
    client = ScoringServerClient(parts.hostname, parts.port)
    for frame in (FRAME, FRAME[["rooms", "garden", "the city", "age"]]):
        found = client.invoke(frame, params={"model": "houses"})
        assert found.get_predictions("ndarray").tolist() == PRICES
    matrix = np.array([[1.0, 2.0], [9.5, 8.0]])
    for data in (matrix, pd.DataFrame(matrix), pd.DataFrame(matrix, columns=["a", "b"])):
        found = client.invoke(data, params={"model": "sizes"})
        assert found.get_predictions("ndarray").ravel().tolist() == ["small", "large"]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": list(FRAME), "data": ROWS}},
        {"dataframe_split": {"columns": list(FRAME), "index": [7, 9], "data": ROWS}},
        {"dataframe_split": {"columns": list(FRAME)[::-1], "data": [row[::-1] for row in ROWS]}},
        {"dataframe_split": {"data": ROWS}},
        {"dataframe_records": RECORDS},
        {"instances": ROWS},
        {"instances": RECORDS},
        {"inputs": ROWS},
        {"inputs": RECORDS},
        {"inputs": {name: [row[name] for row in RECORDS] for name in FRAME}},
        {"instances": {name: [row[name] for row in RECORDS] for name in FRAME}},
    ],
)
def test_every_format_of_mlflows_server_is_taken(client: TestClient, body: Any) -> None:
    answer = client.post("/invocations", json=body | HOUSES)
    assert answer.json() == {"predictions": PRICES}
    assert answer.headers["x-model-name"] == "houses"


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [9, 8]]}},
        {"instances": [[1, 2], [9, 8]]},
        {"inputs": {"input": [[1, 2], [9, 8]]}},
    ],
)
def test_the_columns_of_a_matrix_have_no_names(client: TestClient, body: Any) -> None:
    answer = client.post("/invocations", json=body | {"params": {"model": "sizes"}})
    assert answer.json() == {"predictions": ["small", "large"]}


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({}, "body", "there is one of dataframe_split, dataframe_records, instances, inputs"),
        ({"inputs": ROWS, "instances": ROWS}, "body", "there is one of"),
        ({"inputs": []}, "inputs", "there are 1 to 2 rows"),
        ({"inputs": ROWS * 2}, "inputs", "there are 1 to 2 rows"),
        ({"inputs": "x"}, "inputs", "it is a list of rows"),
        ({"inputs": None}, "inputs", "it is a list of rows"),
        ({"inputs": [[1, 2]]}, "inputs[0]", "a row has 4 values"),
        ({"inputs": [["x", *ROWS[0][1:]]]}, "inputs[0][0]", "a finite number"),
        ({"inputs": {"age": 7}}, "inputs.age", "a column is a list"),
        ({"inputs": {"age": [1], "rooms": [1, 2]}}, "inputs.age", "it has 1 values, another"),
        ({"inputs": {"age": [1]}}, "inputs[0].the city", "missing"),
        ({"inputs": {}}, "inputs", "there are 1 to 2 rows"),
        ({"instances": RECORDS, "surprise": 1}, "surprise", ""),
        ({"dataframe_records": [RECORDS[0] | {"x": 1}]}, "dataframe_records[0].x", "no such col"),
        ({"dataframe_records": [7]}, "dataframe_records[0]", ""),
        (
            {"dataframe_split": {"columns": ["age", "age"], "data": ROWS}},
            "dataframe_split.columns", "a column is there twice",
        ),
        (
            {"dataframe_split": {"columns": ["age"], "data": ROWS}},
            "dataframe_split.data[0]", "a row has 1 values",
        ),
        (
            {"dataframe_split": {"columns": list(FRAME), "data": [["x", *ROWS[0][1:]]]}},
            "dataframe_split.data[0].age", "a finite number",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(client: TestClient, body: Any, field: str, said: str) -> None:
    answer = client.post("/invocations", json=body | HOUSES)
    problem = answer.json()["error"]
    assert (answer.status_code, problem["field"]) == (422, field)
    assert said in problem["message"]


def test_a_classifier_that_gets_a_table_refuses_it_as_ever(client: TestClient) -> None:
    for params in ({}, {"params": {"model": "digits"}}):
        answer = client.post("/invocations", json={"inputs": ROWS, **params})
        assert answer.json()["error"]["field"] == "inputs[0][1]"
    answer = client.post("/invocations", json={"inputs": ROWS, "params": {"model": "absent"}})
    assert answer.status_code == 404
