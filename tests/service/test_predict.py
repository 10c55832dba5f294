"""POST /predict: what it answers and what it refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service.model import Labels, ModelMetadata, Probabilities
from service.schemas import EXAMPLE_ROW

GOOD: list[Any] = list(EXAMPLE_ROW)


def test_held_out_rows_get_their_labels(client: TestClient, holdout: dict[str, Any]) -> None:
    answer = client.post("/predict", json=holdout["request"])
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"model", "version", "predictions"}
    assert body["model"] == "digits"
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
        ({"instances": [changed(0, "7")]}, "instances[0][0]"),
        ({"instances": [changed(0, True)]}, "instances[0][0]"),
        ({"instances": [changed(5, None)]}, "instances[0][5]"),
        ({"instances": [GOOD[:-1]]}, "instances[0]"),
        ({"instances": [[*GOOD, 0]]}, "instances[0]"),
        ({"instances": []}, "instances"),
        ({"instances": [GOOD] * 257}, "instances"),
        ({"instances": GOOD}, "instances[0]"),
        ({"instances": {"0": GOOD}}, "instances"),
        ({}, "instances"),
        ({"instances": [GOOD], "model": "other"}, "model"),
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
    answer = client.post("/predict", json={"instances": [changed(0, "a secret")]})
    assert answer.status_code == 422
    assert "secret" not in answer.text


def test_the_largest_allowed_batch_is_answered_in_full(client: TestClient) -> None:
    answer = client.post("/predict", json={"instances": [GOOD] * 256})
    assert len(answer.json()["predictions"]) == 256


def test_the_batch_limit_is_a_setting(make_client: Callable[..., TestClient]) -> None:
    client = make_client(max_batch=2)
    assert client.post("/predict", json={"instances": [GOOD] * 2}).status_code == 200
    assert client.post("/predict", json={"instances": [GOOD] * 3}).status_code == 422


def test_a_body_over_the_limit_is_refused(make_client: Callable[..., TestClient]) -> None:
    client = make_client(max_body_bytes=1024)
    body = json.dumps({"instances": [GOOD]}).encode()
    assert client.post("/predict", content=body.ljust(1024)).status_code == 200
    answer = client.post("/predict", content=body.ljust(1025))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"


class FakeModel:
    """A loaded model that does what ``act`` does."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self.metadata = ModelMetadata(
            name="digits", version="1", accuracy=1, sha256="", input_shape=[None, 64]
        )

    def load(self) -> None:
        """Nothing to load."""

    def predict(self, rows: Any) -> tuple[Labels, Probabilities]:
        """All rows are zeros."""
        self._act()
        return np.zeros(len(rows), np.int64), np.zeros((len(rows), 10), np.float32)


def test_a_failing_model_is_a_500_that_tells_no_internals(
    make_client: Callable[..., TestClient],
) -> None:
    def fail() -> None:
        raise RuntimeError("a secret of the runtime")

    answer = make_client(FakeModel(fail)).post("/predict", json={"instances": [GOOD]})
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "prediction_failed"
    assert "secret" not in answer.text


def test_a_slow_prediction_blocks_no_probe_and_too_many_are_turned_away(
    make_client: Callable[..., TestClient],
) -> None:
    started, finish = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        assert finish.wait(10)

    client = make_client(FakeModel(wait), max_in_flight=1)
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
