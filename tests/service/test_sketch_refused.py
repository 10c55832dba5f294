"""References that are refused, and their version with them; the one before is served on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, wait_until
from fake_registry import FakeRegistry
from fastapi.testclient import TestClient
from model_graphs import CLASSES, FEATURES, describe, package
from text_models import CONTEXT, VOCABULARY

from service.check import REFUSED
from service.errors import ModelInvalidError
from service.package import MAX_REFERENCE_BYTES, parse_descriptor
from service.sketch_reference import Reference, read_reference

TEXT_PART = {"vocabulary": VOCABULARY, "context": CONTEXT}


def feature(name: str = "pixel", **changes: Any) -> dict[str, Any]:
    return {"name": name, "edges": [0.5], "counts": [1, 2], **changes}


FEATURES_OF = [feature(f"pixel_{index}") for index in range(FEATURES)]


def reference(**changes: Any) -> bytes:
    content = {"format": 1, "features": FEATURES_OF, "prediction": [1] * CLASSES, **changes}
    return json.dumps({key: value for key, value in content.items() if value is not None}).encode()


def first(**changes: Any) -> bytes:
    """A reference whose first feature is another."""
    return reference(features=[feature("pixel_0", **changes), *FEATURES_OF[1:]])


BAD = {
    "empty": (b"", "JSON"),
    "no JSON": (b"{", "JSON"),
    "a list": (b"[]", "JSON"),
    "deep": (b"[" * 1_000_000, "JSON"),
    "many lists": (b"[" + b"[]," * 300_000 + b"[]]", "JSON"),
    "many errors": (b'{"features": [' + b"1," * 500_000 + b"1]}", "not valid"),
    "too large": (b" " * MAX_REFERENCE_BYTES + reference(), "more than 1048576 bytes"),
    "another format": (reference(format=2), "format"),
    "no features": (reference(features=[]), "features"),
    "no predictions": (reference(prediction=None), "prediction"),
    "predictions of nothing": (reference(prediction=[0] * CLASSES), "no prediction is counted"),
    "fewer features": (reference(features=FEATURES_OF[1:]), "63 features"),
    "fewer classes": (reference(prediction=[1]), "1 classes"),
    "groups in a classifier": (reference(groups=[0, 1]), "2 groups"),
    "a name twice": (reference(features=[feature()] * FEATURES), "there twice"),
    "a name that is taken": (
        reference(features=[feature("prediction"), *FEATURES_OF[1:]]),
        "that of the prediction",
    ),
    "a name with a quote": (reference(features=[feature('a"b'), *FEATURES_OF[1:]]), "name"),
    "a name that ends a line": (reference(features=[feature("a\n"), *FEATURES_OF[1:]]), "name"),
    "edges that fall": (first(edges=[1, 0], counts=[1, 1, 1]), "do not ascend"),
    "edges twice": (first(edges=[1, 1], counts=[1, 1, 1]), "do not ascend"),
    "too few edges": (first(edges=[]), "do not match"),
    "too many bins": (first(edges=list(range(32)), counts=[1] * 33), "edges"),
    "an infinite edge": (first(edges=[1e999]), "edges"),
    "an edge that is none": (first(edges=[float("nan")]), "edges"),
    "an edge in words": (first(edges=["1"]), "edges"),
    "a count below zero": (first(counts=[1, -1]), "counts"),
    "a count beyond all": (first(counts=[1, 10**30]), "counts"),
    "half a count": (first(counts=[1, 0.5]), "counts"),
    "nothing counted": (first(counts=[0, 0]), "nothing is counted"),
}
TOKENS = {"features": [feature("tokens")], "prediction": [1, 1], "groups": [0, 1] * 160}
BAD_TEXT = {
    "no groups": TOKENS | {"groups": None},
    "fewer groups": TOKENS | {"groups": [0, 1]},
    "another feature": TOKENS | {"features": [feature("words")]},
    "more features": TOKENS | {"features": [feature("tokens"), feature("more")]},
    "more counts than groups": TOKENS
    | {"features": [feature("tokens", edges=[0.5, 1.5], counts=[1, 2, 3])]},
    "more groups than counts": TOKENS | {"groups": [0, 1] * 159 + [0, 2]},
    "more groups than there may be": TOKENS | {"groups": [0, 1] * 159 + [0, 32]},
    "a group below zero": TOKENS | {"groups": [0, 1] * 159 + [0, -1]},
}


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD)
def test_a_bad_reference_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "reference.json").write_bytes(content)
    with pytest.raises(ModelInvalidError) as error:
        read_reference(tmp_path, parse_descriptor(describe(), "digits"))
    assert "reference.json" in error.value.message
    assert reason in error.value.message
    assert error.value.message.isprintable()
    assert len(error.value.message) < 300


@pytest.mark.parametrize("changes", BAD_TEXT.values(), ids=BAD_TEXT)
def test_a_bad_reference_of_a_text_generator_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    described = describe(kind="text-generator", classifier=None, text=TEXT_PART)
    (tmp_path / "reference.json").write_bytes(reference(**changes))
    with pytest.raises(ModelInvalidError, match=r"reference\.json"):
        read_reference(tmp_path, parse_descriptor(described, "digits"))


def test_a_good_reference_is_read_and_none_is_needed(tmp_path: Path) -> None:
    descriptor = parse_descriptor(describe(), "digits")
    assert read_reference(tmp_path, descriptor) is None
    (tmp_path / "reference.json").write_bytes(reference())
    assert isinstance(read_reference(tmp_path, descriptor), Reference)
    described = describe(kind="text-generator", classifier=None, text=TEXT_PART)
    (tmp_path / "reference.json").write_bytes(reference(**TOKENS))
    assert read_reference(tmp_path, parse_descriptor(described, "digits")) is not None


def test_the_trial_refuses_it_before_the_serving_process_reads_it(tmp_path: Path) -> None:
    for name, content in (package(4) | {"reference.json": b"{"}).items():
        (tmp_path / name).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", "service.check", tmp_path, "digits"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == REFUSED
    assert "reference.json is not valid" in done.stdout


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        BAD["no JSON"],
        BAD["deep"],
        BAD["too large"],
        BAD["fewer classes"],
    ],
)
def test_its_version_is_refused_and_the_one_before_served_on(
    follow: Callable[..., TestClient], registry: FakeRegistry, content: bytes, reason: str
) -> None:
    registry.publish("digits", package(4) | {"reference.json": reference()})
    client = follow()
    wait_until(lambda: client.get("/ready").status_code == 200, "the good one is served")
    registry.publish("digits", package(5) | {"reference.json": content})
    state = lambda: client.get("/ready").json()["models"][0]  # noqa: E731
    wait_until(lambda: state()["refused"] is not None, "the bad one is refused")
    assert reason in state()["refused"]["reason"]
    answer = client.post("/predict", json={"instances": [[1] * FEATURES]})
    assert (answer.status_code, answer.json()["version"]) == (200, "1")


def test_a_reference_that_is_not_the_registered_one_is_refused(
    follow: Callable[..., TestClient], registry: FakeRegistry
) -> None:
    version = registry.register("digits", package(4) | {"reference.json": reference()})
    registry.models["digits"][version].files["reference.json"] += b" "
    registry.promote("digits", version)
    client = follow()
    wait_until(lambda: "refused" in (client.get("/ready").json()["reason"] or ""), "it is refused")
    assert "not the one whose SHA-256" in client.get("/ready").json()["reason"]
