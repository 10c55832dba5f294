"""POST /predict: what it answers and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_graphs as graphs
import numpy as np
import pytest
from fastapi.testclient import TestClient
from model_graphs import FEATURES, package

from service.classifier import Classifier
from service.loader import read_descriptor
from service.models import Served
from service.schemas import EXAMPLE_ROW

GOOD: list[Any] = list(EXAMPLE_ROW)
MakeClient = Callable[..., TestClient]


def test_held_out_rows_get_their_labels(client: TestClient, holdout: dict[str, Any]) -> None:
    answer = client.post("/predict", json=holdout["request"])
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"model", "version", "predictions"}
    assert (body["model"], body["version"]) == ("digits", "3")
    assert [p["label"] for p in body["predictions"]] == holdout["labels"]


def test_label_is_the_likeliest_of_ten_probabilities(client: TestClient) -> None:
    (prediction,) = client.post("/predict", json={"instances": [GOOD]}).json()["predictions"]
    assert len(prediction["probabilities"]) == 10
    assert sum(prediction["probabilities"]) == pytest.approx(1, abs=1e-4)
    assert np.argmax(prediction["probabilities"]) == prediction["label"] == 1


def changed(index: int, value: Any) -> list[Any]:
    """A good row with one pixel changed."""
    return [*GOOD[:index], value, *GOOD[index + 1 :]]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"instances": [GOOD, changed(3, 16.5)]}, "instances[1][3]"),
        ({"instances": [changed(63, -0.001)]}, "instances[0][63]"),
        ({"instances": [changed(0, 16 + 1e-12)]}, "instances[0][0]"),
        ({"instances": [changed(0, 10**400)]}, "instances[0][0]"),
        ({"instances": [changed(0, "7")]}, "instances[0][0]"),
        ({"instances": [changed(0, True)]}, "instances[0][0]"),
        ({"instances": [changed(5, None)]}, "instances[0][5]"),
        ({"instances": [changed(5, [1])]}, "instances[0][5]"),
        ({"instances": [GOOD[:-1]]}, "instances[0]"),
        ({"instances": [GOOD, [*GOOD, 0]]}, "instances[1]"),
        ({"instances": [[]]}, "instances[0]"),
        ({"instances": []}, "instances"),
        ({"instances": [GOOD] * 257}, "instances"),
        ({"instances": GOOD}, "instances[0]"),
        ({"instances": {"0": GOOD}}, "instances"),
        ({}, "instances"),
        ({"instances": [GOOD], "model": 7}, "model"),
        ({"instances": [GOOD], "other": 7}, "other"),
        ([GOOD], "body"),
    ],
)
def test_a_bad_field_is_named(client: TestClient, body: Any, field: str) -> None:
    answer = client.post("/predict", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_request"
    assert answer.json()["error"]["field"] == field


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_refused(client: TestClient, number: str) -> None:
    body = json.dumps({"instances": [GOOD]}).replace("[[0,", f"[[{number},")
    answer = client.post("/predict", content=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "instances[0][0]"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"not json"])
def test_a_body_that_is_not_json_is_refused(client: TestClient, body: bytes) -> None:
    answer = client.post("/predict", content=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "body"


def test_a_refusal_does_not_repeat_what_was_sent(client: TestClient) -> None:
    for value in ("a secret", 77.125):
        answer = client.post("/predict", json={"instances": [changed(0, value)]})
        assert answer.status_code == 422
        assert str(value) not in answer.text


def test_the_range_is_what_the_model_says(make_client: MakeClient, tmp_path: Path) -> None:
    part = {"features": FEATURES, "minimum": -1, "maximum": 1, "classes": 10}
    client = make_client(loaded(tmp_path, classifier=part))
    assert client.post("/predict", json={"instances": [[-1] * FEATURES]}).status_code == 200
    answer = client.post("/predict", json={"instances": [GOOD]})
    assert answer.json()["error"]["message"] == "a number is at least -1 and at most 1"


def loaded(folder: Path, graph: bytes | None = None, **changes: Any) -> Served:
    """A small model from ``folder``, not warmed."""
    for name, content in package(1, **changes).items():
        (folder / name).write_bytes(graph if graph and name == "model.onnx" else content)
    descriptor = read_descriptor(folder, "digits")
    runner = Classifier(folder, descriptor, intra_op_threads=1)
    runner.load()
    return Served("digits", "1", descriptor, runner)


def test_the_largest_allowed_batch_is_answered_in_full(client: TestClient) -> None:
    answer = client.post("/predict", json={"instances": [GOOD] * 256})
    assert len(answer.json()["predictions"]) == 256


def test_the_batch_limit_is_a_setting(make_client: MakeClient) -> None:
    client = make_client(max_batch=2)
    assert client.post("/predict", json={"instances": [GOOD] * 2}).status_code == 200
    assert client.post("/predict", json={"instances": [GOOD] * 3}).status_code == 422


def test_a_body_over_the_limit_is_refused(make_client: MakeClient) -> None:
    client = make_client(max_body_bytes=1024)
    body = json.dumps({"instances": [GOOD]}).encode()
    assert client.post("/predict", content=body.ljust(1024)).status_code == 200
    answer = client.post("/predict", content=body.ljust(1025))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"


def test_answers_and_errors_name_the_model_once_it_is_known(
    client: TestClient, make_client: MakeClient, served: Served
) -> None:
    known = {"x-model-name": "digits", "x-model-version": "3"}

    def fail() -> None:
        raise RuntimeError

    def none() -> None:
        return None

    answers = [
        (client.post("/predict", json={"instances": [GOOD]}), 200, known),
        (client.post("/predict", json={"instances": [GOOD[1:]]}), 422, known),
        (
            make_client(acting(served, fail)).post("/predict", json={"instances": [GOOD]}),
            500,
            known,
        ),
        (client.post("/predict", json={"instances": [GOOD], "model": "x"}), 404, {}),
        (client.post("/predict", content="{"), 422, {}),
    ]
    for answer, status, expected in answers:
        assert answer.status_code == status
        headers = {k: v for k, v in answer.headers.items() if k.startswith("x-model")}
        assert headers == expected


def test_an_unforeseen_failure_names_the_model_too(make_client: MakeClient, served: Served) -> None:
    class Odd:
        def predict(self, *_: Any) -> Any:
            return None, None

    client = make_client(dataclasses.replace(served, runner=Odd()))
    answer = client.post("/predict", json={"instances": [GOOD]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert answer.headers["x-model-version"] == "3"
    assert 'llm_requests_total{model="digits",status="500",version="3"} 1.0' in (
        client.get("/metrics").text
    )


class Acting:
    """Predicts as the model does, after ``act``."""

    def __init__(self, runner: Any, act: Callable[[], None]) -> None:
        self._runner = runner
        self._act = act

    def predict(self, rows: Any, options: Any) -> Any:
        self._act()
        return self._runner.predict(rows, options)


def acting(served: Served, act: Callable[[], None]) -> Served:
    return dataclasses.replace(served, runner=Acting(served.runner, act))


def test_a_failing_model_is_a_500_that_tells_no_internals(
    make_client: MakeClient, served: Served
) -> None:
    def fail() -> None:
        raise RuntimeError("a secret of the runtime")

    answer = make_client(acting(served, fail)).post("/predict", json={"instances": [GOOD]})
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "prediction_failed"
    assert "secret" not in answer.text


@pytest.mark.parametrize("graph", [graphs.not_finite(), graphs.twice()])
def test_an_answer_that_is_none_is_not_passed_on(
    make_client: MakeClient, tmp_path: Path, graph: bytes
) -> None:
    answer = make_client(loaded(tmp_path, graph)).post("/predict", json={"instances": [GOOD]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "prediction_failed")


def test_a_slow_prediction_blocks_no_probe_and_too_many_are_turned_away(
    make_client: MakeClient, served: Served
) -> None:
    started, finish = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        assert finish.wait(10)

    client = make_client(acting(served, wait), max_in_flight=1)
    answers: list[int] = []

    def post() -> None:
        answers.append(client.post("/predict", json={"instances": [GOOD]}).status_code)

    slow = threading.Thread(target=post)
    slow.start()
    try:
        assert started.wait(10)
        assert client.get("/health").status_code == 200
        assert "http_requests_in_flight 1.0" in client.get("/metrics").text
        refused = client.post("/predict", json={"instances": [GOOD]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
    finally:
        finish.set()
        slow.join(10)
    assert answers == [200]
    assert client.post("/predict", json={"instances": [GOOD]}).status_code == 200


def test_a_request_that_takes_too_long_is_answered_and_holds_up_no_other(
    make_client: MakeClient, tmp_path: Path, served: Served
) -> None:
    hanging = dataclasses.replace(loaded(tmp_path, graphs.endless()), name="hanging")
    client = make_client(served, hanging, request_seconds=0.3, inference_workers=1)
    began = time.monotonic()
    answer = client.post("/predict", json={"instances": [GOOD], "model": "hanging"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timed_out")
    assert answer.headers["x-model-name"] == "hanging"
    assert 0.3 <= time.monotonic() - began < 2
    # The one worker is free again: the run was ended.
    assert client.post("/predict", json={"instances": [GOOD]}).status_code == 200


def test_the_wait_for_a_worker_counts(make_client: MakeClient, served: Served) -> None:
    started, finish = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        assert finish.wait(10)

    client = make_client(acting(served, wait), request_seconds=0.3, inference_workers=1)
    statuses: list[int] = []

    def post() -> None:
        statuses.append(client.post("/predict", json={"instances": [GOOD]}).status_code)

    threads = [threading.Thread(target=post) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    finish.set()
    assert statuses == [504, 504]
