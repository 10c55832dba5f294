"""POST /feedback: labels that come after a prediction, and the ids that they come for."""

from __future__ import annotations

import dataclasses
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from test_metrics import sample

from service import feedback
from service.errors import FeedbackExpiredError, InvalidRequestError
from service.metrics import KEPT, Metrics
from service.metrics_quality import WINDOW
from service.models import Served
from service.prediction_ids import LONGEST, PredictionIds
from service.schemas import EXAMPLE_ROW

MakeClient = Callable[..., TestClient]
KEY = "a key of all replicas"
TOKEN = "a-token-of-those-who-label"


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    return make_client(feedback_key=KEY)


def predict(client: TestClient, rows: int = 1) -> dict[str, Any]:
    body: dict[str, Any] = client.post("/predict", json={"instances": [EXAMPLE_ROW] * rows}).json()
    return body


def test_labels_that_come_later_show_as_accuracy(client: TestClient) -> None:
    said = predict(client, rows=4)
    answer = client.post("/feedback", json={"id": said["prediction_id"], "labels": [1, None, 7, 1]})
    assert answer.status_code == 200
    assert answer.json() == {
        "model": "digits", "version": "3", "right": 2, "wrong": 1, "counted": True,
    }  # fmt: skip
    text = client.get("/metrics").text
    for line in (
        'model_feedback_total{model="digits",outcome="right",version="3"} 2.0',
        'model_feedback_total{model="digits",outcome="wrong",version="3"} 1.0',
        'model_feedback_labels{model="digits",version="3"} 3.0',
        'model_accuracy{kind="classifier",model="digits",source="feedback",version="3"} 0.666',
    ):
        assert line in text


def test_any_replica_with_the_same_key_takes_it(
    client: TestClient, make_client: MakeClient
) -> None:
    known = {"id": predict(client)["prediction_id"], "labels": [1]}
    assert make_client(feedback_key=KEY).post("/feedback", json=known).status_code == 200
    other = make_client(feedback_key="another key entirely").post("/feedback", json=known)
    assert (other.status_code, other.json()["error"]["field"]) == (422, "id")


@pytest.mark.parametrize("sent", [None, "", "Bearer another-token-of-some", f"Basic {TOKEN}"])
def test_where_there_is_a_token_nobody_gives_labels_without_it(
    make_client: MakeClient, sent: str | None
) -> None:
    client = make_client(feedback_key=KEY, feedback_token=TOKEN)
    known = {"id": predict(client)["prediction_id"], "labels": [1]}
    headers = {} if sent is None else {"Authorization": sent}
    answer = client.post("/feedback", json=known, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "feedback_not_allowed")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in answer.text
    for scheme in ("Bearer", "bearer"):
        headers = {"Authorization": f"{scheme} {TOKEN}"}
        assert client.post("/feedback", json=known, headers=headers).status_code == 200


def test_an_id_counts_once(client: TestClient) -> None:
    known = {"id": predict(client)["prediction_id"], "labels": [1]}
    counted = [client.post("/feedback", json=known).json()["counted"] for _ in range(3)]
    assert counted == [True, False, False]
    assert predict(client)["prediction_id"] != known["id"]
    assert 'outcome="right",version="3"} 1.0' in client.get("/metrics").text


def test_the_last_ids_are_remembered_and_no_more(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback, "_REMEMBERED", 3)
    made = [{"id": predict(client)["prediction_id"], "labels": [1]} for _ in range(4)]

    def counted(known: dict[str, Any]) -> bool:
        return bool(client.post("/feedback", json=known).json()["counted"])

    assert all(map(counted, made))
    assert [counted(known) for known in reversed(made)] == [False, False, False, True]


@pytest.mark.parametrize(
    ("labels", "field"),
    [
        ([1], "labels"),
        ([1, 1, 1], "labels"),
        ([], "labels"),
        ([1, 10], "labels[1]"),
        ([1, -1], "labels[1]"),
        ([1, True], "labels[1]"),
        ([1, "1"], "labels[1]"),
        ([1, 1.5], "labels[1]"),
    ],
)
def test_labels_that_cannot_be_are_refused_and_can_be_put_right(
    client: TestClient, labels: list[Any], field: str
) -> None:
    made = predict(client, rows=2)["prediction_id"]
    answer = client.post("/feedback", json={"id": made, "labels": labels})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"].startswith(field)
    assert client.post("/feedback", json={"id": made, "labels": [1, 1]}).json()["counted"]


def test_an_id_that_was_changed_anywhere_is_refused(client: TestClient) -> None:
    made = predict(client)["prediction_id"]
    for place in range(len(made) - 1):
        other = "A" if made[place] != "A" else "B"
        forged = {"id": made[:place] + other + made[place + 1 :], "labels": [1]}
        assert client.post("/feedback", json=forged).status_code == 422, place
    cut = ("", "A", made[:-4], made + "AAAA", made[:8] + "****" + made[8:])
    for text in (*cut, "\u2603", "A" * LONGEST, "A" * (LONGEST + 1)):
        assert client.post("/feedback", json={"id": text, "labels": [1]}).status_code == 422
    assert 'outcome="right",version="3"} 0.0' in client.get("/metrics").text


def test_without_a_key_no_id_is_given_and_no_feedback_is_taken(make_client: MakeClient) -> None:
    client = make_client()
    assert "prediction_id" not in predict(client)
    answer = client.post("/feedback", json={"id": "A", "labels": [1]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "feedback_off")


def test_feedback_comes_too_late_after_some_days(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = PredictionIds(KEY, days=1)
    made = ids.make("digits", "3", [1], 10)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 86_000)
    assert ids.read(made).labels == [1]
    monkeypatch.setattr(time, "time", lambda: now + 86_500)
    with pytest.raises(FeedbackExpiredError, match="1 days"):
        ids.read(made)


def test_how_many_days_is_a_setting(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(feedback_key=KEY, feedback_days=2)
    known = {"id": predict(client)["prediction_id"], "labels": [1]}
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3 * 86_400)
    answer = client.post("/feedback", json=known)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "feedback_expired")


@pytest.mark.parametrize("classes", [2, 256, 257, 65_536, 65_537, 100_000])
def test_an_id_holds_every_label_that_a_model_may_have(classes: int) -> None:
    ids = PredictionIds(KEY, days=1)
    labels = [0, classes - 1, classes // 2]
    predicted = ids.read(ids.make("a" * 63, "9" * 18, labels, classes))
    assert (predicted.model, predicted.version) == ("a" * 63, "9" * 18)
    assert (predicted.labels, predicted.classes) == (labels, classes)
    assert len(ids.make("a" * 63, "9" * 18, [1] * 4096, classes)) <= LONGEST


def test_ids_that_are_made_ahead_are_each_another_and_of_their_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = PredictionIds(KEY, days=1)
    began = int(time.time())
    made = []
    for second in range(3):
        monkeypatch.setattr(time, "time", lambda now=began + second: now)
        made += [(second, label, ids.make("digits", "3", [label], 10)) for label in (7, 1) * 100]
    assert len({one for _, _, one in made}) == 600
    for second, label, one in made:
        monkeypatch.setattr(time, "time", lambda now=began + second: now + 86_400)
        assert ids.read(one).labels == [label]
        monkeypatch.setattr(time, "time", lambda now=began + second: now + 86_401)
        with pytest.raises(FeedbackExpiredError):
            ids.read(one)


def test_a_signature_cannot_be_guessed() -> None:
    ids = PredictionIds(KEY, days=1)
    made = ids.make("digits", "3", [1], 10)
    signed = {len(ids.read(made).signature), len(ids._sign(b"")), len(ids._sign(bytes(1000)))}
    assert signed == {16}


def test_names_that_are_ready_for_ids_are_not_gathered_without_end() -> None:
    ids = PredictionIds(KEY, days=1)
    for number in range(1000):
        ids.make("digits", str(number), [1], 10)
    assert len(ids._models) < 200


def test_an_id_of_the_largest_default_batch_is_short() -> None:
    assert len(PredictionIds(KEY, days=1).make("digits", "12", [1] * 256, 10)) < 450


def test_what_another_release_signed_is_refused() -> None:
    ids = PredictionIds(KEY, days=1)
    for content in (b"", b"\x02" + bytes(40)):
        whole = urlsafe_b64encode(content + ids._sign(content)).rstrip(b"=").decode()
        with pytest.raises(InvalidRequestError):
            ids.read(whole)


def test_the_accuracy_is_that_of_the_last_labels() -> None:
    metrics = Metrics()
    metrics.served("digits", "1", 0.9)
    metrics.quality.judged("digits", "1", [False] * WINDOW)
    metrics.quality.judged("digits", "1", [True] * (WINDOW // 4))
    labels = {"model": "digits", "version": "1"}
    accuracy = {**labels, "kind": "classifier", "source": "feedback"}
    assert sample(metrics, "model_accuracy", **accuracy) == 0.25
    assert sample(metrics, "model_feedback_labels", **labels) == WINDOW
    assert sample(metrics, "model_feedback_total", **labels, outcome="wrong") == WINDOW


def test_a_version_replaced_goes_on_being_judged_until_its_series_go() -> None:
    metrics = Metrics()
    for number in range(1, KEPT + 1):
        metrics.served("digits", str(number), 0.9)
    accuracy = {"model": "digits", "version": "1", "kind": "classifier"}
    assert sample(metrics, "model_accuracy", **accuracy, source="feedback") is None
    assert metrics.quality.judged("digits", "1", [True])
    assert sample(metrics, "model_accuracy", **accuracy, source="feedback") == 1
    assert sample(metrics, "model_accuracy", **accuracy, source="evaluation") is None
    metrics.served("digits", str(KEPT + 1), 0.9)
    assert sample(metrics, "model_accuracy", **accuracy, source="feedback") is None
    assert not metrics.quality.judged("digits", "1", [True])
    unknown = {"model": "unknown", "version": "unknown", "outcome": "right"}
    assert sample(metrics, "model_feedback_total", **unknown) == 1
    assert sample(metrics, "model_feedback_labels", model="digits", version="1") is None


def test_feedback_on_a_model_that_is_not_served_is_taken_and_counted_under_none(
    client: TestClient, make_client: MakeClient, served: Served
) -> None:
    other = make_client(dataclasses.replace(served, name="other"), feedback_key=KEY)
    known = {"id": predict(other)["prediction_id"], "labels": [1]}
    answer = client.post("/feedback", json=known)
    assert (answer.status_code, answer.json()["counted"]) == (200, False)
    assert 'model="other"' not in client.get("/metrics").text


def test_the_api_description_has_it(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    post = described["paths"]["/feedback"]["post"]
    assert set(post["responses"]) >= {"200", "404", "422"}
    schema = post["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == {"id", "labels"}
    answer = described["components"]["schemas"]["PredictResponse"]
    assert "prediction_id" in answer["properties"]
    assert "prediction_id" not in answer["required"]


def test_a_body_over_its_own_limit_is_refused(client: TestClient) -> None:
    answer = client.post("/feedback", content=b" " * 70_000)
    assert answer.status_code == 413


def test_it_keeps_to_the_bounds_of_all_requests(make_client: MakeClient, served: Served) -> None:
    finish, asked = threading.Event(), threading.Event()

    class Slow:
        def predict(self, *_: Any) -> Any:
            asked.set()
            assert finish.wait(10)
            return served.runner.predict(*_)

    slow = dataclasses.replace(served, runner=Slow())
    client = make_client(slow, feedback_key=KEY, max_in_flight=1, max_body_bytes=2000)
    assert client.post("/feedback", content=b" " * 2001).status_code == 413
    thread = threading.Thread(target=predict, args=(client,))
    thread.start()
    try:
        assert asked.wait(10)
        assert client.post("/feedback", json={"id": "A", "labels": [1]}).status_code == 503
    finally:
        finish.set()
        thread.join(10)
