"""What a replica counts of the requests to a version, and what it shows of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from conftest import Server, wait_until
from fake_registry import FakeRegistry
from fastapi.testclient import TestClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from model_graphs import package as constant
from text_models import trained

from service.models import Served
from service.sketch import FEWEST_ROWS, Ring, Sketch
from service.sketch_reference import Reference

REFERENCE = Reference.model_validate(
    {
        "format": 1,
        "features": [
            {"name": "a", "edges": [0.5, 1.5], "counts": [5, 3, 2]},
            {"name": "b", "edges": [], "counts": [10]},
        ],
        "prediction": [6, 4],
    }
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def sketch(clock: Clock, *, rows: int = 100, seconds: float = 60) -> Sketch:
    return Sketch(REFERENCE, rows=rows, seconds=seconds, clock=clock)


def add(into: Sketch, a: float, count: int, label: int = 0) -> None:
    into.rows(np.full((count, 2), a, np.float32), np.full(count, label, np.int64))


def test_rows_are_counted_in_the_bins_of_the_training() -> None:
    held = sketch(Clock())
    add(held, 0, 11, label=1)
    add(held, 0.5, 1)
    add(held, 1, 9)
    add(held, 99, 4)
    counted = held.take().count("m", "1")
    assert (counted.rows, counted.oldest, counted.newest) == (25, 1000.0, 1000.0)
    assert counted.features[0].live == [12, 9, 4]
    assert counted.features[0].reference == [5, 3, 2]
    assert counted.features[1].live == [25]
    assert (counted.prediction.live, counted.prediction.reference) == ([14, 11], [6, 4])
    assert counted.prediction.edges == [0.5]


def test_only_the_last_rows_are_counted() -> None:
    held = sketch(Clock(), rows=30)
    add(held, 0, 25)
    add(held, 1, 25)
    assert held.take().count("m", "1").features[0].live == [5, 25, 0]


def test_a_row_that_is_too_old_is_not_counted() -> None:
    clock = Clock()
    held = sketch(clock, seconds=60)
    add(held, 0, 30)
    clock.now += 50
    add(held, 1, 40)
    clock.now += 20
    counted = held.take().count("m", "1")
    assert (counted.rows, counted.features[0].live, counted.oldest) == (40, [0, 40, 0], 1050.0)


def test_the_counts_of_few_rows_are_not_shown() -> None:
    held = sketch(Clock())
    add(held, 1, FEWEST_ROWS - 1)
    counted = held.take().count("m", "1")
    assert (counted.rows, counted.oldest) == (0, None)
    assert counted.features[0].live == [0, 0, 0]
    assert counted.prediction.live == [0, 0]
    add(held, 1, 1)
    assert held.take().count("m", "1").rows == FEWEST_ROWS


def test_a_model_with_many_features_takes_no_more_memory() -> None:
    features = [{"name": f"f{i}", "edges": [], "counts": [1]} for i in range(20_000)]
    wide = Reference.model_validate({"format": 1, "features": features, "prediction": [1, 1]})
    held = Sketch(wide, rows=100_000, seconds=60)
    rows = np.zeros((4096, 20_000), np.float32)
    held.rows(rows, np.zeros(4096, np.int64))
    assert held.take().inputs[0].nbytes <= 4 * 2**20


@given(st.integers(1, 12), st.lists(st.integers(0, 30), max_size=12))
@example(3, [2, 2, 1])
@settings(deadline=None)
def test_a_ring_holds_the_last_rows_however_they_come(capacity: int, batches: list[int]) -> None:
    ring, added = Ring(1, capacity), np.arange(1, sum(batches) + 1)
    for rows in np.split(added, np.cumsum(batches)[:-1]) if batches else []:
        ring.add(rows[:, None], np.ones(len(rows)))
    kept, times = ring.since(0.0)
    assert sorted(kept[:, 0].tolist()) == added[-capacity:].tolist()
    assert len(times) == len(kept)


def test_tokens_are_counted_as_their_groups() -> None:
    reference = Reference.model_validate(
        {
            "format": 1,
            "features": [{"name": "tokens", "edges": [0.5], "counts": [3, 1]}],
            "prediction": [1, 1],
            "groups": [1, 0, 0, 1],
        }
    )
    held = Sketch(reference, rows=100, seconds=60)
    for _ in range(10):
        held.tokens([1, 2, 3], [0, 3])
    held.tokens([], [])
    counted = held.take().count("text", "1")
    assert counted.features[0].live == [20, 10]
    assert counted.prediction.live == [0, 20]
    assert counted.rows == 20


@pytest.fixture
def sketched(served: Served, package_dir: Path) -> Served:
    content = (package_dir / "reference.json").read_bytes()
    held = Sketch(Reference.model_validate_json(content), rows=2048, seconds=1800)
    return replace(served, sketch=held)


def test_predictions_are_counted(
    make_client: Callable[..., TestClient], sketched: Served, holdout: dict[str, Any]
) -> None:
    client = make_client(sketched)
    for _ in range(3):
        assert client.post("/predict", json=holdout["request"]).status_code == 200
    (found,) = client.get("/sketches").json()["sketches"]
    assert (found["model"], found["version"], found["rows"]) == ("digits", "3", 24)
    images = np.array(holdout["request"]["instances"])
    assert [feature["name"] for feature in found["features"]][:2] == ["pixel_0", "pixel_1"]
    for feature, column in zip(found["features"], images.T, strict=True):
        assert feature["live"] == (3 * np.bincount(column.astype(int), minlength=17)).tolist()
        assert sum(feature["reference"]) == 1437
    assert sum(found["prediction"]["live"]) == 24
    assert len(found["prediction"]["live"]) == 10


def test_a_request_that_is_refused_is_not_counted(
    make_client: Callable[..., TestClient], sketched: Served, holdout: dict[str, Any]
) -> None:
    client = make_client(sketched)
    rows = holdout["request"]["instances"] * 4
    assert client.post("/predict", json={"instances": [*rows, [17.0] * 64]}).status_code == 422
    (found,) = client.get("/sketches").json()["sketches"]
    assert found["rows"] == 0


def test_a_model_without_a_reference_has_no_sketch(
    client: TestClient, holdout: dict[str, Any]
) -> None:
    assert client.post("/predict", json=holdout["request"]).status_code == 200
    assert client.get("/sketches").json() == {"sketches": []}


def test_another_version_begins_with_nothing(
    follow: Callable[..., TestClient],
    registry: FakeRegistry,
    package: dict[str, bytes],
    holdout: dict[str, Any],
) -> None:
    registry.publish("digits", package)
    client = follow()
    wait_until(lambda: client.get("/ready").status_code == 200, "the first is served")
    rows = holdout["request"]["instances"] * 4
    client.post("/predict", json={"instances": rows})
    before = client.get("/sketches").json()["sketches"]
    assert [(one["version"], one["rows"]) for one in before] == [("1", 32)]
    registry.publish("digits", package)
    wait_until(lambda: client.get("/ready").json()["version"] == "2", "the second is served")
    after = client.get("/sketches").json()["sketches"]
    assert [(one["version"], one["rows"]) for one in after] == [("2", 0)]
    registry.publish("digits", constant(4))
    wait_until(lambda: client.get("/ready").json()["version"] == "3", "the third is served")
    assert client.get("/sketches").json() == {"sketches": []}


def test_the_tokens_of_chats_are_counted(
    follow: Callable[..., TestClient], registry: FakeRegistry
) -> None:
    registry.publish("text", trained())
    client = follow(models=("text",))
    wait_until(lambda: client.get("/ready").status_code == 200, "it is served")
    asked = {
        "model": "text",
        "messages": [{"role": "user", "content": "The number of clusters to find"}],
        "max_tokens": 40,
        "seed": 1,
    }
    usage = {"prompt_tokens": 0, "completion_tokens": 0}
    for stream in (False, True):
        body = asked | {"stream": stream, "stream_options": {"include_usage": True}}
        answer = client.post("/v1/chat/completions", json=body if stream else asked)
        assert answer.status_code == 200
        data = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
        last = data[-2] if stream else answer.text
        for kind in usage:
            usage[kind] += json.loads(last)["usage"][kind]
    (found,) = client.get("/sketches").json()["sketches"]
    assert [feature["name"] for feature in found["features"]] == ["tokens"]
    assert sum(found["features"][0]["live"]) == usage["prompt_tokens"]
    assert sum(found["prediction"]["live"]) == usage["completion_tokens"]


def test_no_log_line_tells_of_a_sketch(
    serve: Callable[..., Server], holdout: dict[str, Any]
) -> None:
    server = serve(log_level="info")
    httpx.post(f"{server.url}/predict", json={"instances": holdout["request"]["instances"] * 4})
    assert httpx.get(f"{server.url}/sketches").json()["sketches"][0]["rows"] == 32
    deadline = time.monotonic() + 10
    # Lines of requests are written together, a moment later.
    while "/predict" not in {line.get("path") for line in server.log_lines()}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "pixel_0" not in server.log.read_text()
    assert "/sketches" not in {line.get("path") for line in server.log_lines()}
