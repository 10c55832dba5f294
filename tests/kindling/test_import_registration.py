"""An imported package in the registry: as the pipeline's are, once, and whole or not at all.

MLflow's client keeps its records in a folder here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pytest
from imported import FIGURES, descriptor, graph
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.types import ColSpec, Schema

from kindling.errors import KindlingError
from kindling.import_answer import Figures
from kindling.import_registration import register
from pipeline import package


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """An empty registry."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "registry").as_uri())
    return MlflowClient()


def add(tmp_path: Path, name: str = "mine", **changes: Any) -> tuple[str, bool]:
    work = tmp_path / f"work-{len(list(tmp_path.iterdir()))}"
    files, source = work / "package", work / "source"
    files.mkdir(parents=True)
    source.mkdir()
    (files / "model.json").write_bytes(descriptor(name, **changes))
    (files / "model.onnx").write_bytes(graph())
    described = Model()
    described.signature = mlflow.models.ModelSignature(Schema([ColSpec("double", "age")]))
    described.save(str(source / "MLmodel"))
    figures = Figures(**FIGURES)  # type: ignore[arg-type]
    return register(name, files, source, "models:/people/3", figures, work)


def test_a_version_is_complete(client: MlflowClient, tmp_path: Path) -> None:
    assert add(tmp_path) == ("1", True)
    version = client.get_model_version_by_alias("mine", "challenger")
    assert version.tags["gate"] == "passed"
    (tmp_path / "to").mkdir()
    mlflow.artifacts.download_artifacts("models:/mine/1", dst_path=str(tmp_path / "to"))
    wanted = json.loads(version.tags["sha256"])
    assert list(wanted) == ["model.json", "model.onnx"]
    found = package.sha256(tmp_path / "to")
    assert {name: found[name] for name in wanted} == wanted
    assert Model.load(str(tmp_path / "to")).signature.inputs.input_names() == ["age"]
    run = client.get_run(version.run_id or "")
    assert run.data.tags["kindling.source"] == "models:/people/3"
    assert run.data.tags["kindling.library"] == "scikit-learn 1.9.1"
    assert run.data.metrics == {
        "parity_rows": 1503, "parity_largest_difference": 2e-8, "parity_disagreements": 0,
        "parity_ties": 0,
    }  # fmt: skip
    assert run.info.status == "FINISHED"


def test_the_same_package_is_registered_once(client: MlflowClient, tmp_path: Path) -> None:
    add(tmp_path)
    client.delete_registered_model_alias("mine", "challenger")
    assert add(tmp_path) == ("1", False)
    assert str(client.get_model_version_by_alias("mine", "challenger").version) == "1"
    assert add(tmp_path, more="anything") == ("2", True)


def test_a_registry_that_fails_is_left_without_a_version(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise MlflowException("no room")

    monkeypatch.setattr(Model, "log", fail)
    with pytest.raises(KindlingError, match="refuses: no room"):
        add(tmp_path)
    assert client.search_registered_models() == []


def test_without_a_registry_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(mlflow, "is_tracking_uri_set", lambda: False)
    with pytest.raises(KindlingError, match="MLFLOW_TRACKING_URI is not set"):
        add(tmp_path)
