"""/health, /ready, /docs and the errors around them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import cast

import pytest
from conftest import wait_until
from fake_registry import FakeRegistry
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from model_graphs import package

from service.copies import Copies
from service.schemas import EXAMPLE_ROW


def test_alive_but_not_ready_while_the_model_loads(
    follow: Callable[..., TestClient], registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(Copies, "current", lambda *_: go_on.wait(10) and None)
    registry.publish("digits", package())
    client = follow()
    try:
        assert client.get("/health").json() == {"status": "ok"}
        ready = client.get("/ready")
        assert (ready.status_code, ready.json()["reason"]) == (503, "the model is loading")
        refused = client.post("/predict", json={"instances": [EXAMPLE_ROW]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
        assert refused.headers["retry-after"] == "1"
    finally:
        go_on.set()
    wait_until(lambda: client.get("/ready").status_code == 200, "the app is ready")
    assert client.get("/ready").json() == {
        "status": "ready",
        "reason": None,
        "model": "digits",
        "version": "1",
        "models": [
            {"name": "digits", "version": "1", "refused": None, "reason": None, "canary": None}
        ],
        "others": 0,
        "registry": "reachable",
    }


def test_a_model_that_does_not_load_is_the_reason_for_not_being_ready(
    follow: Callable[..., TestClient], registry: FakeRegistry
) -> None:
    registry.publish("digits", package(format=2))
    client = follow()
    wait_until(lambda: "loading" not in client.get("/ready").text, "loading has failed")
    ready = client.get("/ready")
    assert ready.status_code == 503
    reason = "model.json is not valid: format"
    assert ready.json()["reason"] == f"digits: version 1 is refused: {reason}"
    assert ready.json()["models"] == [
        {
            "name": "digits",
            "version": None,
            "refused": {"version": "1", "reason": reason},
            "reason": None,
            "canary": None,
        }
    ]
    assert client.get("/health").status_code == 200


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


def test_the_docs_show_endpoints_in_groups_by_what_they_do(client: TestClient) -> None:
    api = client.get("/openapi.json").json()
    groups = [tag["name"] for tag in api["tags"]]
    # Swagger UI shows groups in this order.
    assert (groups[0], groups[-1]) == ("Predictions", "Operations")
    assert all(tag["description"] for tag in api["tags"])
    functions = {
        route.path: route.name.replace("_", " ").title()
        for route in cast(FastAPI, client.app).routes
        if isinstance(route, APIRoute)
    }
    summaries, of_group = [], {group: list[str]() for group in groups}
    for path, methods in api["paths"].items():
        for operation in methods.values():
            (group,) = operation["tags"]
            of_group[group].append(path)
            summaries.append(operation["summary"])
            assert operation["summary"] != functions[path], "the summary is a function's name"
            assert operation["description"], path
    assert len(set(summaries)) == len(summaries)
    assert of_group["Predictions"] == ["/predict", "/invocations"]
    assert of_group["Operations"] == ["/metrics", "/sketches", "/health", "/ready"]
    assert all(of_group.values())


def test_the_api_description_refers_to_nothing_that_is_not_there(client: TestClient) -> None:
    text = client.get("/openapi.json").text
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for name in re.findall(r'"\$ref":"([^"]*)"', text):
        assert name.removeprefix("#/components/schemas/") in schemas, name


def test_example_in_the_api_description_works(client: TestClient) -> None:
    content = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]
    body = content["content"]["application/json"]
    assert body["schema"]["anyOf"][0]["properties"]["instances"]["maxItems"] == 256
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
