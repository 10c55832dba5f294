"""What clients of a champion would notice of another version's inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from imported import descriptor

from kindling import model_inputs
from kindling.errors import KindlingError
from kindling.model_registry import ModelRegistry
from service.package import Descriptor, parse_descriptor

AGE = {"name": "age", "type": "double"}
CITY = {"name": "city", "type": "string"}


def table(*columns: dict[str, Any], **part: Any) -> Descriptor:
    changed = {"inputs": list(columns), "graph_input": "columns"} | part
    return parse_descriptor(descriptor(part=changed), "mine")


def classifier(**changes: Any) -> Descriptor:
    part = {"features": 64, "minimum": 0.0, "maximum": 16.0, "classes": 10} | changes
    return Descriptor(format=1, name="mine", kind="classifier", accuracy=0.9, classifier=part)  # type: ignore[arg-type]


class Packages(ModelRegistry):
    """Versions 1 and 2, by what their packages say."""

    def __init__(self, first: Descriptor | None, second: Descriptor | None) -> None:
        self.found = {"1": first, "2": second}

    def descriptor(self, name: str, version: str) -> Descriptor | None:
        return self.found[version]


def note(first: Descriptor | None, second: Descriptor | None, champion: str = "1") -> str:
    return model_inputs.check(Packages(first, second), "mine", champion, "2")


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (table(AGE), classifier(), "it is a classifier, not a tabular"),
        (classifier(), classifier(features=32), "32 features, not 64"),
        (classifier(), classifier(maximum=1.0), "values from 0 to 1, not from 0 to 16"),
        (table(AGE, CITY), table(AGE), "no column city"),
        (table(AGE), table(AGE, CITY), "a new column city"),
        (table(AGE, CITY), table(CITY, AGE), "the columns in another order"),
        (table(AGE), table(AGE | {"type": "string"}), "age as string, not double"),
        (table(AGE), table(AGE | {"type": "float"}), "age as float, not double"),
        (table(AGE | {"optional": True}), table(AGE), "age may not be missing any more"),
        (table(AGE | {"name": "0"}, tensor=True), table(AGE | {"name": "0"}), "columns, not a"),
    ],
)
def test_version_that_would_refuse_the_champions_clients_is_named(
    before: Descriptor, after: Descriptor, change: str
) -> None:
    with pytest.raises(KindlingError, match=change) as failure:
        note(before, after)
    assert model_inputs.OPTION in failure.value.next_step


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (table(AGE, CITY), table(AGE, CITY)),
        (table(AGE), table(AGE | {"optional": True})),
        (table(AGE | {"type": "long"}), table(AGE)),
        (classifier(), classifier(minimum=-1.0, classes=12)),
    ],
)
def test_version_that_takes_all_that_the_champion_takes_passes(
    before: Descriptor, after: Descriptor
) -> None:
    assert note(before, after) == ""


def test_without_two_packages_nothing_is_compared() -> None:
    assert note(table(AGE), classifier(), champion="") == ""
    assert note(table(AGE), classifier(), champion="2") == ""
    assert "version 2 has no model.json" in note(table(AGE), None)


def test_descriptor_is_read_from_a_real_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "registry").as_uri())
    client, files = MlflowClient(), tmp_path / "files"
    client.create_registered_model("mine")
    for content in (descriptor(), b"{}"):
        files.mkdir(exist_ok=True)
        (files / "model.json").write_bytes(content)
        run = client.create_run("0").info
        client.log_artifacts(run.run_id, str(files), "model")
        client.create_model_version("mine", f"{run.artifact_uri}/model", run.run_id)
    registry = ModelRegistry(client)
    found = registry.descriptor("mine", "1")
    assert found is not None
    assert found.tabular is not None
    assert [column.name for column in found.tabular.inputs] == ["age", "children"]
    assert registry.descriptor("mine", "2") is None
    assert registry.descriptor("mine", "3") is None
