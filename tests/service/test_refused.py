"""Versions that are refused, whatever they do to be served; the one before is served on.

Payloads that are code would leave a marker file if anything ever ran them.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import model_graphs as graphs
import pytest
from conftest import ROOT, follow_with, keep_copy, wait_until
from fake_registry import FakeRegistry, digests, send
from fastapi.testclient import TestClient
from model_graphs import FEATURES, describe, package
from onnx import TensorProto, helper
from text_models import CONTEXT, VOCABULARY, tokenizer_bytes
from text_models import graph as text_graph

Follow = Callable[..., TestClient]
MARKER = Path(f"/tmp/kindling-test-marker-{os.getpid()}")
GOOD = package(1)


@dataclass
class Touch:
    """Touches the marker when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, (f"touch {MARKER}",)


PICKLES = [pickle.dumps(Touch(), protocol) for protocol in (0, 2, 5)]


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.pkl", content)
        archive.writestr("archive/data.pkl", content)
    return out.getvalue()


def tagged(**changes: Any) -> str:
    """The tag of a good version, changed; None takes a file out."""
    tag = digests(GOOD) | {key.replace("_", "."): value for key, value in changes.items()}
    return json.dumps({key: value for key, value in tag.items() if value is not None})


def text(vocabulary: int = VOCABULARY, **files: bytes) -> dict[str, bytes]:
    """A text generator, with other files or of another size than it says."""
    part = {"vocabulary": vocabulary, "context": CONTEXT}
    return {
        "model.json": describe(kind="text-generator", classifier=None, text=part),
        "model.onnx": text_graph(vocabulary=vocabulary),
        "tokenizer.model": tokenizer_bytes(),
        **{key.replace("_", "."): value for key, value in files.items()},
    }


def inputs(kind: int, shape: list[Any]) -> bytes:
    """A classifier that takes something else."""
    nodes = [
        helper.make_node("Cast", ["x"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["c"], ["s"], keepdims=1),
    ]
    value = helper.make_tensor_value_info("x", kind, shape)
    return graphs.classifier(nodes, {}, inputs=[value])


def outputs(*values: tuple[str, int, list[Any]]) -> bytes:
    """A classifier that gives something else."""
    nodes = [helper.make_node("Identity", ["x"], ["s"])]
    made = [helper.make_tensor_value_info(*value) for value in values]
    return graphs.classifier(nodes, {}, outputs=made)


@dataclass
class Bad:
    """A version that must be refused with ``reason`` in what people read."""

    reason: str
    files: dict[str, bytes] = field(default_factory=lambda: dict(GOOD))
    options: dict[str, Any] = field(default_factory=dict)


def graph(content: bytes, reason: str) -> Bad:
    return Bad(reason, GOOD | {"model.onnx": content})


def descriptor(reason: str, **changes: Any) -> Bad:
    return Bad(reason, GOOD | {"model.json": describe(**changes)})


def tag(sha256: str | None, reason: str) -> Bad:
    return Bad(reason, options={"sha256": sha256})


ONLY = "only ONNX packages"
PART = {"features": FEATURES, "minimum": 0, "maximum": 16, "classes": 10}
INT, FLOAT = TensorProto.INT64, TensorProto.FLOAT
CORPUS = {
    "no tag": tag(None, ONLY),
    "empty tag": tag("", "not a JSON object"),
    "tag is no JSON": tag("sha256", "not a JSON object"),
    "tag is a list": tag("[]", "not a JSON object"),
    "tag is deep": tag("[" * 4000, "not a JSON object"),
    "tag is a pickle": tag(PICKLES[0].decode(), "not a JSON object"),
    "tag is huge": tag(json.dumps({str(n): "0" * 64 for n in range(10_000)}), "not a JSON object"),
    "tag with short digest": tag(tagged(model_onnx="00"), "not a JSON object"),
    "tag with capital digest": tag(tagged(model_onnx="A" * 64), "not a JSON object"),
    "tag with number": tag(tagged(model_onnx=7), "not a JSON object"),
    "tag of a pickle": tag(tagged(model_pkl="0" * 64), ONLY),
    "tag leading up": tag(json.dumps({"../model.onnx": "0" * 64}), ONLY),
    "tag of an absolute path": tag(json.dumps({"/etc/passwd": "0" * 64}), ONLY),
    "tag with a NUL": tag(json.dumps({"model.onnx\0": "0" * 64}), ONLY),
    "tag of an empty name": tag(json.dumps({"": "0" * 64}), ONLY),
    "tag of MLflow's own files": tag(tagged(MLmodel="0" * 64), ONLY),
    "tag without graph": tag(tagged(model_onnx=None), "lists no model.onnx"),
    "tag without descriptor": tag(tagged(model_json=None), "lists no model.json"),
    "tag with a tokenizer too many": Bad(
        "a classifier is made of", {**GOOD, "tokenizer.model": b"x"}
    ),
    "text without tokenizer": Bad(
        "a text-generator is made of",
        {key: value for key, value in text().items() if key != "tokenizer.model"},
    ),
    "other content": tag(tagged(model_onnx="0" * 64), "not the one whose SHA-256"),
    "other descriptor": tag(tagged(model_json="0" * 64), "not the one whose SHA-256"),
    "absent graph": Bad(
        "holds no model.onnx", {"model.json": GOOD["model.json"]}, {"sha256": tagged()}
    ),
    "too large": graph(b"\0" * 70_000, "more than 65536 bytes"),
    "too large descriptor": Bad(
        "more than 262144 bytes", GOOD | {"model.json": b" " * 262_145 + GOOD["model.json"]}
    ),
    "descriptor is no JSON": Bad("model.json is not valid", GOOD | {"model.json": b"{"}),
    "descriptor is a list": Bad("model.json is not valid", GOOD | {"model.json": b"[]"}),
    "descriptor is deep": Bad("model.json is not valid", GOOD | {"model.json": b"[" * 60_000}),
    "descriptor of another model": descriptor("of model letters, not digits", name="letters"),
    "unknown kind": descriptor("not valid: kind", kind="pickle"),
    "unknown format": descriptor("not valid: format", format=2),
    "no format": descriptor("not valid: format", format=None),
    "two parts": descriptor("not valid", text={"vocabulary": 8, "context": 4}),
    "no part": descriptor("not valid", classifier=None),
    "accuracy over one": descriptor("not valid: accuracy", accuracy=1.5),
    "accuracy in words": descriptor("not valid: accuracy", accuracy="good"),
    "accuracy not a number": descriptor("not valid: accuracy", accuracy=float("nan")),
    "no features": descriptor("classifier.features", classifier=PART | {"features": 0}),
    "infinite range": descriptor("classifier.maximum", classifier=PART | {"maximum": 1e999}),
    "other features": descriptor("has input", classifier=PART | {"features": 63}),
    "other classes": descriptor("has output", classifier=PART | {"classes": 9}),
    "classifier in a text generator": Bad("has input", text(model_onnx=GOOD["model.onnx"])),
    "text not finite": Bad(
        "model.onnx does not run",
        text(model_onnx=text_graph(vocabulary=VOCABULARY, scale=float("nan"))),
    ),
    "tokenizer of another size": Bad(f"tokenizer.model has {VOCABULARY}", text(VOCABULARY + 1)),
    "empty tokenizer": Bad("tokenizer.model", text(tokenizer_model=b"")),
    "zip for a tokenizer": Bad("tokenizer.model", text(tokenizer_model=zipped(tokenizer_bytes()))),
    "tokenizer cut short": Bad("tokenizer.model", text(tokenizer_model=tokenizer_bytes()[:500])),
    "empty graph": graph(b"", "not a model that can be run"),
    "graph of zeros": graph(bytes(1000), "not a model that can be run"),
    "graph cut short": graph(GOOD["model.onnx"][:-100], "not a model that can be run"),
    "gzip for a graph": graph(gzip.compress(GOOD["model.onnx"]), "not a model that can be run"),
    "zip for a graph": graph(zipped(GOOD["model.onnx"]), "not a model that can be run"),
    "zip of a pickle": graph(zipped(PICKLES[1]), "not a model that can be run"),
    "the runtime's own format": graph(graphs.in_the_runtimes_own_format(), "can be run"),
    "whole numbers in": graph(inputs(INT, ["N", FEATURES]), "has input"),
    "three dimensions in": graph(inputs(FLOAT, ["N", 8, 8]), "has input"),
    "one row only": graph(inputs(FLOAT, [1, FEATURES]), "has input"),
    "one output": graph(outputs(("label", INT, ["N"])), "has output"),
    "outputs changed round": graph(
        outputs(("probabilities", FLOAT, ["N", 10]), ("label", INT, ["N"])), "has output"
    ),
    "other classes than it says": graph(
        outputs(("label", INT, ["N"]), ("probabilities", FLOAT, ["N", "M"])), "has output"
    ),
    "two answers to each row": graph(graphs.twice(), "another shape"),
    "classes that there are not": graph(graphs.beyond(), "numbers that are none"),
    "not finite": graph(graphs.not_finite(), "numbers that are none"),
    "weights in /etc/passwd": graph(graphs.outside("../../etc/passwd"), "External data path"),
    "weights at an absolute path": graph(graphs.outside("/etc/passwd"), "External data path"),
    "weights in our own code": graph(graphs.outside("service/settings.py"), "External data path"),
    "weights in memory": graph(graphs.outside("*/_ORT_MEM_ADDR_/*"), "can be run"),
    "gigabytes out of nothing": graph(graphs.bloated(8 * 2**10), "memory"),
    "terabytes out of nothing": graph(graphs.bloated(8 * 2**20), "memory"),
    "a loop without end": graph(graphs.endless(), "more than 1 seconds"),
    **{
        f"pickle {number} as {name}": Bad(
            "not valid" if name == "model.json" else "can be run", GOOD | {name: content}
        )
        for number, content in enumerate(PICKLES)
        for name in ("model.json", "model.onnx")
    },
    **{
        f"pickle {number} as tokenizer": Bad("tokenizer.model", text(tokenizer_model=content))
        for number, content in enumerate(PICKLES)
    },
    **{
        f"files at {uri}": Bad("not at an mlflow-artifacts:/ address", options={"uri": uri})
        for uri in (
            "",
            "s3://bucket/model",
            "file:///etc",
            "http://127.0.0.1:1/x",
            "mlflow-artifacts:",
            "mlflow-artifacts:/",
            "mlflow-artifacts://elsewhere:80/1/models/m/artifacts",
            "mlflow-artifacts:/1//artifacts",
            "mlflow-artifacts:/1/../2/artifacts",
            "mlflow-artifacts:/../../api/2.0/mlflow/x",
            "mlflow-artifacts:/1/./artifacts",
            "mlflow-artifacts:/1/%2e%2e/artifacts",
            "mlflow-artifacts:/1/a?x=y",
            "mlflow-artifacts:/1/a#b",
            "mlflow-artifacts:/1/a\\b",
            "mlflow-artifacts:/1/a@b",
            "mlflow-artifacts:/1/http:/x",
            "mlflow-artifacts:/1/artifacts/",
            "mlflow-artifacts:/1/a b",
            "mlflow-artifacts:/1/a\n",
            "mlflow-artifacts:/1/a\r\nHost: x",
            "mlflow-artifacts:/" + "a/" * 500 + "a",
        )
    },
}


@dataclass
class Following:
    """A service that serves version 1, and the registry that it follows."""

    registry: FakeRegistry
    client: TestClient
    folder: Path

    def state(self) -> dict[str, Any]:
        """What it says of its model."""
        found: dict[str, Any] = self.client.get("/ready").json()["models"][0]
        return found

    def refused(self) -> str:
        """The version that it refuses."""
        refused = self.state()["refused"]
        return refused["version"] if refused else ""

    def refusals(self) -> int:
        """How many it has counted."""
        text = self.client.get("/metrics").text
        found = re.search(r'^model_refused_total{model="digits"} (\d+)\.0$', text, re.MULTILINE)
        assert found
        return int(found[1])


@pytest.fixture(scope="module")
def following(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Following]:
    cache = tmp_path_factory.mktemp("cache")
    with FakeRegistry() as registry, ExitStack() as stack:
        keep_copy(cache, "digits", registry.publish("digits", package(4)), package(4))
        client = follow_with(
            registry, stack, cache_dir=cache,
            max_model_bytes=65_536, check_seconds=1, check_memory_mb=128,
        )  # fmt: skip
        following = Following(registry, client, cache / "digits")
        wait_until(lambda: following.state()["version"] == "1", "the good one is served")
        yield following


@pytest.fixture(autouse=True)
def _no_marker() -> Iterator[None]:
    yield
    assert not MARKER.exists()


def test_the_payload_of_the_pickles_works() -> None:
    pickle.loads(PICKLES[0])
    assert MARKER.exists()
    MARKER.unlink()


@pytest.mark.parametrize("bad", CORPUS.values(), ids=CORPUS)
def test_a_bad_version_is_refused_and_the_one_before_served_on(
    following: Following, bad: Bad
) -> None:
    registry, client, folder = following.registry, following.client, following.folder
    before = following.refusals()
    version = registry.publish("digits", bad.files, **bad.options)
    wait_until(lambda: following.refused() == version, "the bad one is refused")
    state = following.state()
    assert bad.reason in state["refused"]["reason"]
    assert state["refused"]["reason"].isprintable()
    assert "EP Error" not in state["refused"]["reason"]
    answer = client.post("/predict", json={"instances": [[1] * FEATURES]})
    assert (answer.status_code, answer.json()["version"]) == (200, "1")
    assert client.get("/ready").status_code == 200
    assert following.refusals() == before + 1
    assert [path.name[:2] for path in folder.iterdir() if path.is_dir()] == ["1-"]
    assert json.loads((folder / "current.json").read_text())["version"] == "1"
    # It asks for nothing more of a version that it has refused.
    registry.asked.clear()
    wait_until(lambda: len(registry.asked) > 1, "it looks again")
    assert {path.rpartition("/")[2] for path in registry.asked} == {"search"}
    assert not (ROOT / "model.onnx").exists()


def test_a_refused_version_is_looked_at_again_once_its_tag_is_another(
    follow: Follow, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.model_follower._LOOK_AGAIN_SECONDS", 0.2)
    registry.publish("digits", package(4), sha256=None)
    client = follow()
    wait_until(lambda: "refused" in (client.get("/ready").json()["reason"] or ""), "it is refused")
    assert client.get("/ready").status_code == 503
    registry.asked.clear()
    wait_until(lambda: len([path for path in registry.asked if "get" in path]) > 1, "it looks")
    assert 'model_refused_total{model="digits"} 1.0' in client.get("/metrics").text
    tags = registry.models["digits"]["1"].tags
    tags["sha256"] = json.dumps(digests(package(4)))
    wait_until(lambda: client.get("/ready").status_code == 200, "it is served")
    assert client.get("/ready").json()["models"][0]["refused"] is None


def test_the_next_good_version_is_served(follow: Follow, registry: FakeRegistry) -> None:
    registry.publish("digits", package(4), sha256=None)
    client = follow()
    wait_until(lambda: "refused" in (client.get("/ready").json()["reason"] or ""), "it is refused")
    registry.publish("digits", package(7))
    wait_until(lambda: client.get("/ready").json()["version"] == "2", "the good one is served")
    assert client.get("/ready").json()["models"][0]["refused"] is None


def test_back_on_the_version_that_is_served_nothing_is_refused(
    follow: Follow, registry: FakeRegistry
) -> None:
    registry.publish("digits", package(4))
    client = follow()
    wait_until(lambda: client.get("/ready").status_code == 200, "the good one is served")
    registry.publish("digits", package(7), sha256=None)
    state = lambda: client.get("/ready").json()["models"][0]  # noqa: E731
    wait_until(lambda: state()["refused"] is not None, "the bad one is refused")
    registry.promote("digits", "1")
    wait_until(lambda: state()["refused"] is None, "nothing is refused")
    assert state()["version"] == "1"


def refuse_the_champion(registry: FakeRegistry, previous: dict[str, Any]) -> None:
    """Version 1 of digits, registered as ``previous`` says, was served before version 2."""
    registry.publish("other", package(name="other"))
    registry.promote("digits", registry.register("digits", package(4), **previous), "previous")
    registry.publish("digits", package(7), sha256=None)


def test_what_has_no_other_version_serves_the_previous_champion(
    follow: Follow, registry: FakeRegistry
) -> None:
    refuse_the_champion(registry, {})
    held = threading.Event()

    def hold(handler: BaseHTTPRequestHandler) -> None:
        held.wait(20)
        found = registry.answer(handler.path, {})
        assert isinstance(found, bytes)
        send(handler, found)

    registry.misbehave["m-digits1"] = hold
    client = follow(models="other,digits", registry_seconds=20)
    wait_until(lambda: any("m-digits1" in path for path in registry.asked), "it is asked for")

    def versions() -> list[str | None]:
        return [one["version"] for one in client.get("/ready").json()["models"]]

    wait_until(lambda: versions() == ["1", None], "the other one is served")
    # Requests for digits would fail here, so none should come yet.
    assert client.get("/ready").status_code == 503
    held.set()
    wait_until(lambda: client.get("/ready").status_code == 200, "there is something to serve")
    digits = client.get("/ready").json()["models"][1]
    assert (digits["version"], digits["refused"]["version"]) == ("1", "2")
    registry.publish("digits", package(5))
    wait_until(lambda: client.get("/ready").json()["models"][1]["version"] == "3", "version 3")
    assert client.get("/ready").json()["models"][1]["refused"] is None


def test_a_previous_champion_that_is_refused_too_is_not_asked_for_again(
    follow: Follow, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.model_follower._LOOK_AGAIN_SECONDS", 0.1)
    refuse_the_champion(registry, {"sha256": tagged(model_onnx="0" * 64)})
    client = follow(models="other,digits")
    wait_until(lambda: client.get("/ready").status_code == 200, "the other one is served")
    registry.asked.clear()
    looks = lambda: [path for path in registry.asked if path.endswith("model-versions/get")]  # noqa: E731
    wait_until(lambda: len(looks()) > 3, "it looks again")
    assert not any("m-digits1" in path for path in registry.asked)
    assert client.get("/ready").json()["models"][1]["refused"]["version"] == "2"
