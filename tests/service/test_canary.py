"""A second version with a share of the requests, for as long as somebody looks after it."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_until
from fake_registry import FakeRegistry, send
from fastapi.testclient import TestClient
from model_graphs import FEATURES, package
from text_models import trained

from service.canary import Wish

Follow = Callable[..., TestClient]
ROW = [1] * FEATURES


def wish(version: str = "2", share: float = 0.5, seconds: float = 60) -> str:
    return lasting(version, share, time.time() + seconds)


def lasting(version: str = "2", share: float = 0.1, until: float = 1e12) -> str:
    """A wish whose text is the same in every process, as a parameter of a test must be."""
    return json.dumps({"version": version, "share": share, "until": until})


def state(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/ready").json()["models"][0]
    return found


def canary(client: TestClient) -> str | None:
    """Which version it is."""
    told = state(client)["canary"]
    return told["version"] if told else None


def answered(client: TestClient, count: int = 60) -> Counter[tuple[str, int]]:
    """Versions and labels of so many answers."""
    found: Counter[tuple[str, int]] = Counter()
    for _ in range(count):
        answer = client.post("/predict", json={"instances": [ROW]})
        assert answer.status_code == 200
        content = answer.json()
        assert answer.headers["x-model-version"] == content["version"]
        found[content["version"], content["predictions"][0]["label"]] += 1
    return found


@pytest.fixture
def with_canary(follow: Follow, registry: FakeRegistry) -> TestClient:
    """Version 1 is champion and says 4, version 2 is its canary and says 7."""
    registry.publish("digits", package(4))
    registry.register("digits", package(7))
    registry.tags["digits"] = {"canary": wish()}
    client = follow(feedback_key="0123456789abcdef")
    wait_until(lambda: state(client)["canary"] is not None, "the canary is served")
    return client


def test_a_canary_gets_its_share(with_canary: TestClient, tmp_path: Path) -> None:
    assert state(with_canary)["canary"] == {"version": "2", "share": 0.5, "refused": None}
    assert state(with_canary)["version"] == "1"
    found = answered(with_canary, 200)
    assert found.keys() == {("1", 4), ("2", 7)}
    # Less than once in a million is the share of so many further away.
    assert 65 <= found["2", 7] <= 135
    # A restart begins with the champion.
    note = json.loads((tmp_path / "cache" / "digits" / "current.json").read_text())
    assert note["version"] == "1"


def test_its_requests_are_counted_as_its(with_canary: TestClient) -> None:
    found = answered(with_canary)
    text = with_canary.get("/metrics").text
    for version, label in (("1", 4), ("2", 7)):
        count = f'llm_requests_total{{model="digits",status="200",version="{version}"}}'
        assert f"{count} {found[version, label]}.0" in text
    assert 'model_canary_share{model="digits",version="2"} 0.5' in text
    assert 'model_info{kind="classifier",model="digits",version="1"} 1.0' in text
    assert 'model_info{kind="classifier",model="digits",version="2"}' not in text
    assert 'model_swaps_total{model="digits"} 0.0' in text


def test_feedback_on_its_predictions_is_its(with_canary: TestClient) -> None:
    answers = [with_canary.post("/predict", json={"instances": [ROW]}).json() for _ in range(40)]
    for answer in answers:
        with_canary.post("/feedback", json={"id": answer["prediction_id"], "labels": [7]})
    right = sum(answer["version"] == "2" for answer in answers)
    assert right > 0
    counted = f'model_feedback_total{{model="digits",outcome="right",version="2"}} {right}.0'
    assert counted in with_canary.get("/metrics").text


def test_who_asks_for_a_version_gets_that_one(with_canary: TestClient) -> None:
    tensor = {"name": "instances", "datatype": "FP32", "shape": [1, FEATURES], "data": ROW}
    for version, label in (("1", 4), ("2", 7)):
        path = f"/v2/models/digits/versions/{version}"
        assert with_canary.get(f"{path}/ready").status_code == 200
        for _ in range(8):
            answer = with_canary.post(f"{path}/infer", json={"inputs": [tensor]}).json()
            assert (answer["model_version"], answer["outputs"][0]["data"]) == (version, [label])
    assert with_canary.get("/v2/models/digits/versions/3").status_code == 404


def test_what_is_said_of_a_model_does_not_depend_on_who_is_drawn(with_canary: TestClient) -> None:
    said = [with_canary.get("/v2/models/digits").json() for _ in range(30)]
    assert all(one == said[0] for one in said)
    assert said[0]["versions"] == ["1", "2"]
    (version,) = with_canary.get("/v2/models/digits/versions/2").json()["versions"]
    assert version == "2"


def test_nobody_looks_after_it_and_it_ends(follow: Follow, registry: FakeRegistry) -> None:
    registry.publish("digits", package(4))
    registry.register("digits", package(7))
    registry.tags["digits"] = {"canary": wish()}
    client = follow()
    wait_until(lambda: state(client)["canary"] is not None, "the canary is served")
    last = time.time() + 3
    registry.tags["digits"]["canary"] = wish(share=0.25, seconds=3)
    wait_until(lambda: state(client)["canary"]["share"] == 0.25, "its time is short")
    # Even if the registry is not there to say so.
    registry.misbehave["/"] = lambda handler: send(handler, b"", status=500)
    time.sleep(max(0.0, last - time.time()) + 0.1)
    assert answered(client).keys() == {("1", 4)}
    registry.misbehave.clear()
    wait_until(lambda: state(client)["canary"] is None, "it is gone")
    assert "model_canary_share{" not in client.get("/metrics").text


def test_it_ends_when_the_tag_goes_and_when_it_is_promoted(
    with_canary: TestClient, registry: FakeRegistry
) -> None:
    registry.tags["digits"].clear()
    wait_until(lambda: state(with_canary)["canary"] is None, "it is gone")
    assert answered(with_canary).keys() == {("1", 4)}
    registry.tags["digits"]["canary"] = wish()
    wait_until(lambda: state(with_canary)["canary"] is not None, "it is back")
    registry.promote("digits", "2")
    wait_until(lambda: state(with_canary)["version"] == "2", "it is champion")
    wait_until(lambda: state(with_canary)["canary"] is None, "it is no canary")
    assert answered(with_canary).keys() == {("2", 7)}


def test_share_and_version_may_change(with_canary: TestClient, registry: FakeRegistry) -> None:
    registry.tags["digits"]["canary"] = wish(share=0.25)
    wait_until(lambda: state(with_canary)["canary"]["share"] == 0.25, "another share")
    version = registry.register("digits", package(9))
    registry.tags["digits"]["canary"] = wish(version)
    wait_until(lambda: canary(with_canary) == "3", "another version")
    assert answered(with_canary).keys() == {("1", 4), ("3", 9)}


def test_a_bad_canary_is_refused_with_a_reason(follow: Follow, registry: FakeRegistry) -> None:
    registry.publish("digits", package(4))
    registry.register("digits", package(7), sha256=None)
    registry.tags["digits"] = {"canary": wish()}
    client = follow()
    wait_until(lambda: state(client)["canary"] is not None, "it is refused")
    told = state(client)["canary"]
    assert (told["version"], told["share"], told["refused"]["version"]) == ("2", 0.0, "2")
    assert "only ONNX packages" in told["refused"]["reason"]
    assert state(client)["refused"] is None
    assert answered(client).keys() == {("1", 4)}
    # Nothing more is asked of it.
    registry.asked.clear()
    wait_until(lambda: len(registry.asked) > 2, "it looks again")
    assert {path.rpartition("/")[2] for path in registry.asked} == {"search"}
    registry.tags["digits"]["canary"] = wish(registry.register("digits", package(9)))
    wait_until(lambda: canary(client) == "3", "a good one is served")
    assert answered(client).keys() == {("1", 4), ("3", 9)}


def test_copies_of_canaries_do_not_pile_up(
    with_canary: TestClient, registry: FakeRegistry, tmp_path: Path
) -> None:
    for label in (1, 2, 3):
        version = registry.register("digits", package(label))
        registry.tags["digits"]["canary"] = wish(version)
        wait_until(lambda: canary(with_canary) == version, "it is served")  # noqa: B023
    kept = {path.name[:2] for path in (tmp_path / "cache" / "digits").iterdir() if path.is_dir()}
    assert kept == {"1-", f"{version}-"}


def test_a_canary_of_another_kind_is_refused(follow: Follow, registry: FakeRegistry) -> None:
    registry.publish("digits", package(4))
    files = trained()
    described = json.loads(files["model.json"]) | {"name": "digits"}
    registry.register("digits", files | {"model.json": json.dumps(described).encode()})
    registry.tags["digits"] = {"canary": wish()}
    client = follow()
    wait_until(lambda: state(client)["canary"] is not None, "it is refused")
    reason = state(client)["canary"]["refused"]["reason"]
    assert reason == "it is a text-generator, and the champion a classifier"
    assert answered(client).keys() == {("1", 4)}


def test_texts_have_canaries_too(follow: Follow, registry: FakeRegistry) -> None:
    registry.publish("text", trained())
    registry.register("text", trained())
    registry.tags["text"] = {"canary": wish()}
    client = follow(models="text")
    wait_until(lambda: state(client)["canary"] is not None, "the canary is served")
    body = {"model": "text", "max_tokens": 1, "messages": [{"role": "user", "content": "a"}]}
    versions = {
        client.post("/v1/chat/completions", json=body).headers["x-model-version"] for _ in range(40)
    }
    assert versions == {"1", "2"}


@pytest.mark.parametrize(
    "tag",
    [
        None,
        "",
        "yes",
        "[]",
        "{}",
        lasting(share=0),
        lasting(share=0.51),
        lasting(share=float("nan")),
        lasting(version="0"),
        lasting(version="../1"),
        lasting(until=1.0),
        lasting(until=float("inf")),
        json.dumps({"version": 2, "share": 0.1, "until": 1e12}),
        json.dumps({"version": "2", "share": 0.1, "until": 1e12, "more": 1}),
        lasting().rjust(5000),
    ],
    # Times in the names would be others in each worker.
    ids=itertools.count(),
)
def test_what_is_no_wish_is_none(tag: str | None) -> None:
    assert Wish.parse(tag) is None
