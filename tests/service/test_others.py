"""Models that nobody configured: they are served while they have a champion, up to a number."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import table_graphs as graphs
from conftest import keep_copy, wait_until
from fake_registry import FakeRegistry, send
from fastapi.testclient import TestClient
from model_graphs import FEATURES, package

from service.schemas import EXAMPLE_ROW

Follow = Callable[..., TestClient]
DIGIT = [[1] * FEATURES]


def versions(client: TestClient) -> dict[str, str | None]:
    content: dict[str, Any] = client.get("/ready").json()
    return {one["name"]: one["version"] for one in content["models"]}


def ask(client: TestClient, model: str, instances: Any) -> int:
    answer = client.post("/predict", json={"model": model, "instances": instances})
    return answer.status_code


def test_they_come_and_go_with_their_champion(
    follow: Follow, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.publish("digits", package(4))
    registry.register("sizes", graphs.sizes())
    client = follow(others=3)
    wait_until(lambda: versions(client) == {"digits": "1"}, "what is configured is served")
    assert client.get("/ready").json()["others"] == 3
    assert ask(client, "sizes", [[1, 2]]) == 404
    registry.promote("sizes", "1")
    wait_until(lambda: versions(client).get("sizes") == "1", "it is served")
    assert ask(client, "sizes", [[1, 2]]) == 200
    registry.publish("sizes", graphs.sizes() | {"model.json": graphs.sizes()["model.json"] + b" "})
    wait_until(lambda: versions(client)["sizes"] == "2", "the new one is served")
    text = client.get("/metrics").text
    assert 'model_swaps_total{model="sizes"} 1.0' in text
    assert 'model_info{kind="tabular",model="sizes",version="2"} 1.0' in text
    assert (tmp_path / "cache" / "sizes").exists()
    del registry.aliases["sizes"]
    wait_until(lambda: versions(client) == {"digits": "1"}, "it is gone")
    assert ask(client, "sizes", [[1, 2]]) == 404
    wait_until(lambda: not (tmp_path / "cache" / "sizes").exists(), "its copies are gone")
    assert 'model="sizes"' not in client.get("/metrics").text
    registry.promote("sizes", "1")
    wait_until(lambda: versions(client).get("sizes") == "1", "it is back")
    assert ask(client, "sizes", [[1, 2]]) == 200
    assert ask(client, "digits", DIGIT) == 200


def test_there_are_no_more_than_are_set(follow: Follow, registry: FakeRegistry) -> None:
    registry.page_size = 2
    for name in ("digits", "c", "b", "a", "no name", ".hidden"):
        registry.publish(name, package(name=name))
    client = follow(others=2)
    wait_until(lambda: versions(client) == {"digits": "1", "a": "1", "b": "1"}, "two are served")
    del registry.aliases["a"]
    wait_until(lambda: versions(client) == {"digits": "1", "b": "1", "c": "1"}, "another is")


def test_there_are_none_unless_it_is_set(follow: Follow, registry: FakeRegistry) -> None:
    registry.publish("digits", package(4))
    registry.publish("other", package(5, name="other"))
    client = follow()
    wait_until(lambda: versions(client) == {"digits": "1"}, "what is configured is served")
    time.sleep(0.3)
    assert versions(client) == {"digits": "1"}


def test_a_new_pod_is_ready_once_it_serves_them_too(
    follow: Follow, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.publish("digits", package(4))
    registry.publish("other", package(5, name="other"))
    registry.publish("refused", {"model.json": b"{}", "model.onnx": b""})
    # As after a restart: what is configured is served at once.
    keep_copy(tmp_path / "cache", "digits", "1", package(4))
    asked, held = threading.Event(), threading.Event()

    def hold(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        held.wait(10)
        found = registry.answer(handler.path, {})
        assert isinstance(found, bytes)
        send(handler, found)

    registry.misbehave["m-other1"] = hold
    client = follow(others=2, registry_seconds=20)
    try:
        assert asked.wait(10)
        answer = client.get("/ready")
        assert (answer.status_code, answer.json()["reason"]) == (503, "the model is loading")
        assert ask(client, "digits", DIGIT) == 200
    finally:
        registry.misbehave.clear()
        held.set()
    wait_until(lambda: client.get("/ready").status_code == 200, "it is ready")
    assert ask(client, "other", DIGIT) == 200
    # Those that come later do not take it away.
    del registry.aliases["refused"]
    registry.publish("third", package(6, name="third"))
    while "third" not in versions(client):
        assert client.get("/ready").status_code == 200
    wait_until(lambda: versions(client)["third"] == "1", "it is served")
    assert client.get("/ready").status_code == 200


def test_whether_it_is_ready_does_not_depend_on_them(
    follow: Follow, registry: FakeRegistry
) -> None:
    registry.publish("other", package(5, name="other"))
    registry.publish("refused", {"model.json": b"{}", "model.onnx": b""})
    client = follow(others=2)
    wait_until(lambda: versions(client).get("other") == "1", "the other is served")
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["model"]) == (503, "digits")
    # Nor is one of them what a request gets that names none.
    rows = {"instances": [EXAMPLE_ROW]}
    assert client.post("/predict", json=rows).status_code == 503
    assert client.post("/predict", json=rows | {"model": "other"}).status_code == 200
    assert answer.json()["reason"] == "digits: the registry has no champion of it"
    registry.publish("digits", package(4))
    wait_until(lambda: client.get("/ready").status_code == 200, "it is ready")
    states = {one["name"]: one for one in client.get("/ready").json()["models"]}
    assert states["refused"]["refused"]["version"] == "1"
    assert ask(client, "refused", DIGIT) == 503


def test_a_look_is_one_call_still(follow: Follow, registry: FakeRegistry) -> None:
    registry.publish("digits", package(4))
    registry.publish("other", package(5, name="other"))
    client = follow(others=2)
    wait_until(lambda: versions(client) == {"digits": "1", "other": "1"}, "both are served")
    registry.asked.clear()
    wait_until(lambda: len(registry.asked) >= 3, "it looks again")
    assert {path.rpartition("/")[2] for path in registry.asked} == {"search"}


def test_they_are_served_on_while_the_registry_is_away(
    follow: Follow, registry: FakeRegistry
) -> None:
    registry.publish("digits", package(4))
    registry.publish("other", package(5, name="other"))
    client = follow(others=1)
    wait_until(lambda: versions(client) == {"digits": "1", "other": "1"}, "both are served")
    registry.stop()
    try:
        wait_until(lambda: "unreachable" in client.get("/ready").json()["registry"], "it is missed")
        assert ask(client, "other", DIGIT) == 200
    finally:
        registry.start()


def test_they_may_have_canaries(follow: Follow, registry: FakeRegistry) -> None:
    registry.publish("digits", package(4))
    registry.publish("other", package(5, name="other"))
    registry.register("other", package(6, name="other"))
    wish = f'{{"version": "2", "share": 0.5, "until": {time.time() + 60}}}'
    registry.tags["other"] = {"canary": wish}
    client = follow(others=1)

    def canary() -> Any:
        return [one["canary"] for one in client.get("/ready").json()["models"]][1:]

    wait_until(lambda: canary() == [{"version": "2", "share": 0.5, "refused": None}], "it is")
    registry.aliases["other"].clear()
    wait_until(lambda: versions(client) == {"digits": "1"}, "it is gone")
    text = client.get("/metrics").text
    assert 'model="other"' not in text
