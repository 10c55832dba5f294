"""POST /predict of models for tables: answers, and each way in which a row can be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import table_graphs as graphs
from fastapi.testclient import TestClient
from table_models import load

from service.models import Served

HOUSE = {"age": 3.5, "the city": "Köln", "garden": True, "rooms": 4}
PRICE = {"prediction": [1203.5, 4.0]}
DIGIT = [0] * 64


@pytest.fixture(scope="module")
def houses() -> Served:
    """A model that takes columns of each kind."""
    return load(graphs.houses(), "houses")


@pytest.fixture(scope="module")
def sizes() -> Served:
    """A model that takes a matrix."""
    return load(graphs.sizes(), "sizes")


@pytest.fixture
def client(make_client: Callable[..., TestClient], served: Served) -> TestClient:
    """A client of an app with a classifier, and models for tables after it."""
    tables = load(graphs.houses(), "houses"), load(graphs.sizes(), "sizes")
    return make_client(served, *tables, max_batch=4, feedback_key="k" * 16)


def ask(client: TestClient, instances: Any, model: str | None = "houses") -> Any:
    body = {"instances": instances} | ({"model": model} if model else {})
    return client.post("/predict", json=body)


def test_rows_are_lists_or_objects(client: TestClient) -> None:
    answer = ask(client, [HOUSE, [1, "Bonn", False, 0], {**HOUSE, "age": 7}])
    assert answer.json() == {
        "model": "houses",
        "version": "1",
        "predictions": [PRICE, {"prediction": [101.0, 0.0]}, {"prediction": [1207.0, 4.0]}],
    }
    assert answer.headers["x-model-name"] == "houses"


def test_what_is_missing_is_known_to_be(client: TestClient) -> None:
    without = {key: value for key, value in HOUSE.items() if key != "age"}
    rows = [without, without | {"age": None}, [None, "Köln", True, 4]]
    assert ask(client, rows).json()["predictions"] == [{"prediction": [1250.0, 4.0]}] * 3


def test_classes_that_are_no_numbers_from_0_are_said_once(client: TestClient) -> None:
    answer = ask(client, [[1, 2], [9.5, 8]], "sizes").json()
    assert answer["classes"] == {"probabilities": ["small", "large"]}
    assert [one["label"] for one in answer["predictions"]] == ["small", "large"]
    assert [len(one["probabilities"]) for one in answer["predictions"]] == [2, 2]
    assert "prediction_id" not in answer


@pytest.mark.parametrize(
    ("classes", "said"),
    [([0, 1], None), ([1, 2], [1, 2]), ([False, True], [False, True]), ([0.0, 1.0], [0.0, 1.0])],
)
def test_classes_that_are_counted_from_0_are_not_said(
    make_client: Callable[..., TestClient], classes: list[Any], said: list[Any] | None
) -> None:
    label, probabilities = graphs.SIZES["outputs"]
    model = load(graphs.sizes(outputs=[label, probabilities | {"classes": classes}]), "sizes")
    answer = ask(make_client(model), [[1, 2]], None).json()
    assert answer.get("classes") == (said and {"probabilities": said})
    assert json.dumps(answer.get("classes")) == json.dumps(said and {"probabilities": said})


def test_the_first_model_that_takes_rows_answers_who_names_none(
    make_client: Callable[..., TestClient], served: Served, houses: Served
) -> None:
    first = make_client(houses, served)
    assert ask(first, [HOUSE], None).json()["model"] == "houses"
    assert ask(first, [[1, "Bonn", False, 0]], None).json()["model"] == "houses"
    assert ask(first, [DIGIT], "digits").json()["model"] == "digits"
    last = make_client(served, houses)
    assert ask(last, [DIGIT], None).json()["model"] == "digits"


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"age": "old"}, "age", "a value here is a finite number"),
        ({"age": True}, "age", "a finite number"),
        ({"age": [1]}, "age", "a finite number"),
        ({"age": 10**400}, "age", "a finite number"),
        ({"the city": 5}, "the city", "a value here is a string"),
        ({"the city": None}, "the city", "a value is missing here: a string"),
        ({"garden": 1}, "garden", "true or false"),
        ({"garden": "true"}, "garden", "true or false"),
        ({"garden": None}, "garden", "a value is missing here: true or false"),
        ({"rooms": 1.0}, "rooms", "an integer from"),
        ({"rooms": False}, "rooms", "an integer from"),
        ({"rooms": 2**53}, "rooms", "an integer from -9007199254740991 to 9007199254740991"),
        ({"rooms": -(2**53)}, "rooms", "an integer from"),
        ({"surprise": 1}, "surprise", "there is no such column"),
    ],
)
def test_the_first_value_at_fault_is_named(
    client: TestClient, change: dict[str, Any], field: str, said: str
) -> None:
    answer = ask(client, [HOUSE, HOUSE | change, HOUSE | change])
    problem = answer.json()["error"]
    assert (answer.status_code, problem["field"]) == (422, f"instances[1].{field}")
    assert said in problem["message"]
    if field == "surprise":
        return
    row = list((HOUSE | change).values())
    named = ask(client, [list(HOUSE.values()), row]).json()["error"]
    place = list(HOUSE).index(field)
    assert named == problem | {"field": f"instances[1][{place}]"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_may_be_missing_at_most(client: TestClient, number: str) -> None:
    body = f'{{"model": "sizes", "instances": [[1, {number}]]}}'
    answer = client.post("/predict", content=body)
    assert answer.json()["error"]["field"] == "instances[0][1]"
    body = f'{{"model": "houses", "instances": [[{number}, "Bonn", false, 1]]}}'
    assert client.post("/predict", content=body).status_code == (200 if number == "NaN" else 422)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("integer", [2**31 - 1, -(2**31), 0], [2**31, -(2**31) - 1, 1.0, True, "1"]),
        ("long", [2**53 - 1, -(2**53) + 1], [2**53, 0.5, True]),
        ("float", [3.4e38, -3.4e38, 1], [3.5e38, 10**400, True, None]),
        ("double", [1.7e308, 1, -0.0], [10**400, False, None]),
    ],
)
def test_numbers_have_the_range_of_their_type(
    make_client: Callable[..., TestClient], kind: str, good: list[Any], bad: list[Any]
) -> None:
    part = {
        "inputs": [{"name": "x", "type": kind}], "graph_input": "columns",
        "outputs": [{"name": "y", "type": "double", "size": 1}],
    }  # fmt: skip
    content = graphs.output_only("double", ["N", 1])
    files = {"model.json": graphs.describe(part, "one"), "model.onnx": content}
    client = make_client(load(files, "one"))
    found = ask(client, [[value] for value in good], "one").json()["predictions"]
    assert [one["y"] for one in found] == good
    for value in bad:
        assert ask(client, [[value]], "one").json()["error"]["field"] == "instances[0][0]", value


@pytest.mark.parametrize(
    ("instances", "model", "field", "said"),
    [
        ([[1, 2], {"0": 1, "1": 2}], "sizes", "instances[1]", "a row is a list of 2 values"),
        ([[1, 2, 3]], "sizes", "instances[0]", "a row has 2 values"),
        ([[1, 2]], "houses", "instances[0]", "a row has 4 values"),
        ([7], "houses", "instances[0]", "or an object of them"),
        (["abcd"], "houses", "instances[0]", "or an object of them"),
        ([{}], "houses", "instances[0].the city", "missing"),
        ([], "houses", "instances", "at least 1 item"),
        ([HOUSE] * 5, "houses", "instances", "at most 4 items"),
        ("houses", "houses", "instances", "array"),
        ([HOUSE], None, "instances[0]", "Input should be a valid array"),
        ([HOUSE], "digits", "instances[0]", "Input should be a valid array"),
        ([HOUSE], 7, "model", "Input should be a valid string"),
    ],
)
def test_what_is_refused(
    client: TestClient, instances: Any, model: Any, field: str, said: str
) -> None:
    answer = ask(client, instances, model)
    problem = answer.json()["error"]
    assert (answer.status_code, problem["field"]) == (422, field)
    assert said in problem["message"]


def test_what_else_a_body_has_is_told_of_the_tables_request(client: TestClient) -> None:
    body = {"model": "houses", "instances": [HOUSE], "surprise": 1}
    assert client.post("/predict", json=body).json()["error"]["field"] == "surprise"


def test_a_model_that_is_not_there_is_not_found(client: TestClient) -> None:
    for rows in ([DIGIT], [HOUSE]):
        answer = ask(client, rows, "absent")
        assert answer.status_code == 404
        assert answer.json()["error"]["message"] == (
            "there is no such classifier or model for tables; there are: digits, houses, sizes"
        )


def test_a_model_that_answers_with_no_number_fails_and_only_its_request(
    client: TestClient,
) -> None:
    with ThreadPoolExecutor(8) as pool:
        rows = [[[1, 2]], [[2000, 1]], [[9, 9], [1, 1]]] * 4
        found = list(pool.map(lambda one: ask(client, one, "sizes"), rows))
    assert [one.status_code for one in found] == [200, 500, 200] * 4
    assert found[1].json()["error"]["code"] == "prediction_failed"
    assert [one["label"] for one in found[2].json()["predictions"]] == ["large", "small"]


def test_an_unknown_category_is_the_fault_of_its_request_alone(client: TestClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        rows = [[HOUSE], [HOUSE, HOUSE | {"the city": "Ulm"}], [HOUSE]] * 4
        found = list(pool.map(lambda one: ask(client, one), rows))
    assert [one.status_code for one in found] == [200, 422, 200] * 4
    error = found[1].json()["error"]
    assert (error["code"], error["message"]) == (
        "invalid_request",
        "a category is not one that the model knows",
    )


def test_requests_at_once_share_runs_and_get_their_own(client: TestClient) -> None:
    rows = [[[number, city, True, number]] for number in range(20) for city in graphs.CITIES]
    with ThreadPoolExecutor(16) as pool:
        found = [one.json()["predictions"] for one in pool.map(lambda r: ask(client, r), rows)]
    expected = [
        [{"prediction": [1000.0 + number + worth, float(number)]}]
        for number in range(20)
        for worth in (100, 200)
    ]
    assert found == expected


def test_it_is_counted_as_others_are_and_has_no_accuracy(client: TestClient) -> None:
    ask(client, [HOUSE])
    text = client.get("/metrics").text
    assert 'llm_requests_total{model="houses",status="200",version="1"} 1.0' in text
    assert 'inference_batch_size_sum{model="houses"} 1.0' in text
    assert 'model_info{kind="tabular",model="houses",version="1"} 1.0' in text
    assert 'model_accuracy{kind="classifier",model="digits"' in text
    assert 'model="houses",source' not in text
    assert 'model_feedback_labels{model="houses"' not in text


def test_the_description_has_both_kinds_of_requests_and_answers(client: TestClient) -> None:
    predict = client.get("/openapi.json").json()["paths"]["/predict"]["post"]
    sent = predict["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert [one["title"] for one in sent] == ["PredictRequest", "TableRequest"]
    got = predict["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"]
    assert [one["$ref"].rpartition("/")[2] for one in got] == ["PredictResponse", "TableResponse"]


@pytest.mark.parametrize(
    "text", ["", "a\0b", "Köln am Rhein", "🙂", "x" * 100_000], ids=["none", "0", "ö", "🙂", "long"]
)
def test_texts_reach_the_model_and_come_back_as_they_are(
    make_client: Callable[..., TestClient], text: str
) -> None:
    client = make_client(load(graphs.echo(), "echo"))
    found = ask(client, [{"text": text, "x": 0.1}, {"text": "", "x": None}], "echo").json()
    assert found["predictions"] == [{"said": text, "number": 0.1}, {"said": "", "number": 0.0}]


def test_texts_that_are_no_unicode_are_refused(make_client: Callable[..., TestClient]) -> None:
    client = make_client(load(graphs.echo(), "echo"))
    body = b'{"model": "echo", "instances": [["\\ud800", 1]]}'
    assert client.post("/predict", content=body).status_code == 422
