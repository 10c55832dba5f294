"""/health, /ready, /metrics, /docs and the errors around them."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_until
from fastapi.testclient import TestClient

from service.errors import ModelInvalidError, ServiceError
from service.metrics import STATUSES, Metrics
from service.model import OnnxModel
from service.schemas import EXAMPLE_ROW


def test_alive_but_not_ready_while_the_model_loads(
    make_client: Callable[..., TestClient], model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, go_on = OnnxModel(model_dir, name="digits"), threading.Event()
    load = model.load
    monkeypatch.setattr(model, "load", lambda: (go_on.wait(10), load()))
    client = make_client(model)
    try:
        assert client.get("/health").json() == {"status": "ok"}
        ready = client.get("/ready")
        assert (ready.status_code, ready.json()["reason"]) == (503, "the model is loading")
        refused = client.post("/predict", json={"instances": [EXAMPLE_ROW]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
    finally:
        go_on.set()
    wait_until(lambda: client.get("/ready").status_code == 200, "the app is ready")
    assert client.get("/ready").json()["status"] == "ready"


def test_a_model_that_does_not_load_is_the_reason_for_not_being_ready(
    make_client: Callable[..., TestClient], tmp_path: Path
) -> None:
    client = make_client(OnnxModel(tmp_path, name="digits"))
    wait_until(lambda: "loading" not in client.get("/ready").text, "loading has failed")
    ready = client.get("/ready")
    assert ready.status_code == 503
    assert "model.json cannot be read: No such file" in ready.json()["reason"]
    assert client.get("/health").status_code == 200


def damage(folder: Path, **changes: Any) -> None:
    """Change keys of model.json."""
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, "has sha256"),
        ({"name": "letters"}, "is of model 'letters', not 'digits'"),
        ({"input_shape": [None, 784]}, "has input shape"),
        ({"accuracy": "good"}, "is not valid: accuracy"),
    ],
)
def test_a_model_that_is_not_what_its_metadata_says_is_refused(
    model_dir: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    damage(folder, **changes)
    model = OnnxModel(folder, name="digits")
    with pytest.raises(ModelInvalidError, match=re.escape(message)):
        model.load()
    assert model.metadata is None


def test_metrics_count_by_status_and_tell_the_accuracy(
    client: TestClient, model: OnnxModel
) -> None:
    client.post("/predict", json={"instances": [EXAMPLE_ROW]})
    client.post("/predict", json={"instances": "x"})
    client.get("/predict")
    text = client.get("/metrics").text
    assert 'llm_requests_total{model="digits",status="200"} 1.0' in text
    assert 'llm_requests_total{model="digits",status="422"} 1.0' in text
    assert 'llm_requests_total{model="digits",status="405"} 1.0' in text
    assert 'llm_requests_total{model="digits",status="500"} 0.0' in text
    assert 'llm_request_latency_seconds_count{model="digits"} 1.0' in text
    assert "http_requests_in_flight 0.0" in text
    assert model.metadata is not None
    labels = f'{{model="digits",version="{model.metadata.version}"}}'
    assert f"model_accuracy{labels} {model.metadata.accuracy}" in text


@pytest.mark.parametrize(
    ("status", "timed"),
    [(200, 1), (500, 1), (405, 0), (408, 0), (413, 0), (422, 0), (499, 0), (503, 0)],
)
def test_only_what_was_not_refused_is_timed(status: int, timed: int) -> None:
    metrics = Metrics("digits")
    metrics.prediction_answered(status, 0.5)
    count = metrics.registry.get_sample_value
    labels = {"model": "digits"}
    assert count("llm_requests_total", {**labels, "status": str(status)}) == 1
    assert count("llm_request_latency_seconds_count", labels) == timed


def test_every_documented_answer_is_counted_under_its_own_status(client: TestClient) -> None:
    answers = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["responses"]
    assert {int(status) for status in answers} <= STATUSES
    assert {error.status_code for error in ServiceError.__subclasses__()} <= STATUSES


def test_nothing_a_client_sends_becomes_a_label(client: TestClient) -> None:
    before = client.get("/metrics").text.count("\n")
    for path in ("/nothing", "/predict/7", "/predict?model=7"):
        client.post(path, json={"model": "seven"})
    client.request("BREW", "/predict")
    after = client.get("/metrics").text
    assert after.count("\n") == before
    assert "seven" not in after


def test_docs_load_nothing_from_elsewhere(client: TestClient) -> None:
    assert client.get("/", follow_redirects=False).headers["location"] == "docs"
    page = client.get("/docs").text
    links = re.findall(r"""(?:src|href)=["']([^"']+)|url: '([^']+)'""", page)
    targets = [first or second for first, second in links]
    assert len(targets) == 4
    for target in targets:
        assert "//" not in target
        answer = client.get(f"/{target}")
        assert answer.status_code == 200
        assert len(answer.content) > 500


def test_example_in_the_api_description_works(client: TestClient) -> None:
    content = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]
    body = content["content"]["application/json"]
    assert body["schema"]["properties"]["instances"]["maxItems"] == 256
    answer = client.post("/predict", json=body["example"])
    assert answer.json()["predictions"][0]["label"] == 1


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/x", 404), ("GET", "/predict", 405)]
)
def test_the_frameworks_errors_have_the_same_shape(
    client: TestClient, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message", "field"}
