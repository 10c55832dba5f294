"""POST /invocations: MLflow's own client and formats, and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
from conftest import Server
from fastapi.testclient import TestClient

from service.schemas import EXAMPLE_ROW

with warnings.catch_warnings():
    # MLflow's, about itself.
    warnings.simplefilter("ignore")
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

GOOD: list[Any] = list(EXAMPLE_ROW)


def test_mlflows_client_gets_the_labels(
    serve: Callable[..., Server], holdout: dict[str, Any]
) -> None:
    rows, labels = holdout["request"]["instances"], holdout["labels"]
    parts = urlsplit(serve().url)
    client = ScoringServerClient(parts.hostname, parts.port)
    client.ping()
    frame = pd.DataFrame(rows)
    for data in (frame, frame.add_prefix("pixel "), np.array(rows)):
        for params in (None, {"model": "digits"}):
            found = client.invoke(data, params=params).get_predictions("ndarray")
            assert found.ravel().tolist() == labels


def test_every_format_of_mlflows_server_is_taken(
    client: TestClient, holdout: dict[str, Any]
) -> None:
    rows, labels = holdout["request"]["instances"], holdout["labels"]
    frame = pd.DataFrame(rows).add_prefix("pixel ")
    for body in (
        {"dataframe_split": frame.to_dict(orient="split")},
        {"dataframe_split": {"data": rows}},
        {"dataframe_records": frame.to_dict(orient="records")},
        {"instances": rows},
        {"inputs": rows},
        {"inputs": {"instances": rows}},
    ):
        answer = client.post("/invocations", json=body)
        assert answer.json() == {"predictions": labels}


@pytest.mark.parametrize(
    ("body", "status", "field", "said"),
    [
        ({}, 422, "body", "there is one of dataframe_split, dataframe_records, instances, inputs"),
        ({"inputs": [GOOD], "instances": [GOOD]}, 422, "body", "there is one of"),
        ({"inputs": []}, 422, "inputs", "there are 1 to 2 rows"),
        ({"instances": [GOOD] * 3}, 422, "instances", "there are 1 to 2 rows"),
        ({"inputs": [GOOD[1:]]}, 422, "inputs[0]", "a row has 64 numbers"),
        ({"inputs": {"other": [GOOD]}}, 422, "inputs", ""),
        ({"inputs": [[*GOOD[1:], "7"]]}, 422, "inputs[0][63]", ""),
        ({"dataframe_split": {"data": [[*GOOD[1:], 17]]}}, 422, "dataframe_split.data[0][63]", ""),
        ({"dataframe_split": {}}, 422, "dataframe_split.data", ""),
        ({"dataframe_records": [{"a": 1}, {"b": 1}]}, 422, "dataframe_records[1]", "other columns"),
        ({"inputs": [GOOD], "params": {"temperature": 1}}, 422, "params.temperature", ""),
        ({"inputs": [GOOD], "params": {"model": "other"}}, 404, "model", "there are: digits"),
        ({"inputs": [GOOD], "surprise": 1}, 422, "surprise", ""),
    ],
)
def test_what_is_refused(
    make_client: Callable[..., TestClient], body: Any, status: int, field: str, said: str
) -> None:
    answer = make_client(max_batch=2).post("/invocations", json=body)
    problem = answer.json()["error"]
    assert (answer.status_code, problem["field"]) == (status, field)
    assert said in problem["message"]
    assert not problem["message"].startswith("Value error")


def test_it_counts_as_a_request_to_the_model(client: TestClient) -> None:
    assert client.post("/invocations", json={"inputs": [GOOD]}).headers["X-Model-Name"] == "digits"
    counted = 'llm_requests_total{model="digits",status="200",version="3"} 1.0'
    assert counted in client.get("/metrics").text
