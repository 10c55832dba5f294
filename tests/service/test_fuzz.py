"""Requests made up from the API's own description: none makes the service fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import table_graphs
from fuzz import try_all
from table_models import load
from text_models import trained

from service.app import create_app
from service.errors import ServiceError
from service.loader import open_runner, read_descriptor
from service.models import Models, Served
from service.settings import Settings


@pytest.fixture
def models(served: Served, tmp_path: Path) -> Models:
    """A classifier, a text generator and a model for tables."""
    for name, content in trained().items():
        (tmp_path / name).write_bytes(content)
    descriptor = read_descriptor(tmp_path, "text")
    runner = open_runner(tmp_path, descriptor, intra_op_threads=1)
    models = Models(["digits", "text", "echo"])
    models.put(served)
    models.put(Served("text", "1", descriptor, runner))
    models.put(load(table_graphs.echo(), "echo"))
    return models


@pytest.mark.filterwarnings("ignore")
def test_no_request_makes_the_service_fail(models: Models) -> None:
    app = create_app(Settings(), models)
    sent = try_all(app, examples=40)
    assert set(sent) == {
        "POST /predict",
        "POST /invocations",
        "GET /v2",
        "GET /v2/health/live",
        "GET /v2/health/ready",
        *(
            operation
            for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
            for operation in (f"GET {model}", f"GET {model}/ready", f"POST {model}/infer")
        ),
        "POST /feedback",
        "POST /v1/chat/completions",
        "GET /v1/models",
        "GET /v1/models/{model}",
        "GET /health",
        "GET /ready",
        "GET /metrics",
        "GET /sketches",
    }


@pytest.mark.filterwarnings("ignore")
def test_a_failure_is_found(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ServiceError("it failed")

    monkeypatch.setattr("service.predict.parse_rows", fail)
    with pytest.raises(AssertionError, match="POST /predict: 500"):
        try_all(create_app(Settings(), models), examples=4)
