"""From a URI to plain files that a container may read."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from kindling import import_source
from kindling.errors import KindlingError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model as MLflow leaves it, for nobody else to read."""
    made = tmp_path / "model"
    (made / "code").mkdir(parents=True)
    for name in ("MLmodel", "model.pkl", "code/mine.py"):
        (made / name).write_text(name)
        (made / name).chmod(0o600)
    made.chmod(0o700)
    return made


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "registry").as_uri())
    return MlflowClient()


def logged(client: MlflowClient, folder: Path) -> Run:
    """A run with the model; not by mlflow's functions, which remember an experiment."""
    run = client.create_run(client.create_experiment("people"))
    client.log_artifacts(run.info.run_id, str(folder), "model")
    return run


def test_a_folder_is_copied_for_anybody_to_read(folder: Path, tmp_path: Path) -> None:
    to = tmp_path / "to"
    import_source.fetch(str(folder), to)
    assert (to / "code" / "mine.py").read_text() == "code/mine.py"
    modes = {path.stat().st_mode & 0o777 for path in (to, *to.rglob("*"))}
    assert modes == {0o755, 0o644}


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "model.pkl").unlink()
    (folder / "model.pkl").symlink_to("/etc/hostname")
    with pytest.raises(KindlingError, match="is a link"):
        import_source.fetch(str(folder), tmp_path / "to")
    assert not (tmp_path / "to" / "model.pkl").exists()


def test_a_folder_may_be_so_large(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_source, "MOST_FILES", 2)
    with pytest.raises(KindlingError, match="more than 2 files"):
        import_source.fetch(str(folder), tmp_path / "to")
    monkeypatch.setattr(import_source, "MOST_FILES", 3)
    monkeypatch.setattr(import_source, "MOST_BYTES", 27)
    with pytest.raises(KindlingError, match="or 0 MiB"):
        import_source.fetch(str(folder), tmp_path / "again")


def test_what_a_run_logged_is_downloaded(
    client: MlflowClient, folder: Path, tmp_path: Path
) -> None:
    run = logged(client, folder)
    import_source.fetch(f"runs:/{run.info.run_id}/model", tmp_path / "to")
    assert (tmp_path / "to" / "code" / "mine.py").read_text() == "code/mine.py"
    client.create_registered_model("people")
    client.create_model_version("people", f"{run.info.artifact_uri}/model", run.info.run_id)
    client.set_registered_model_alias("people", "best", "1")
    for k, uri in enumerate(("models:/people/1", "models:/people@best")):
        import_source.fetch(uri, tmp_path / str(k))
        assert (tmp_path / str(k) / "MLmodel").is_file()


def test_a_download_may_be_so_large(
    client: MlflowClient, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = logged(client, folder)
    monkeypatch.setattr(import_source, "MOST_BYTES", 10)
    with pytest.raises(KindlingError, match="or 0 MiB"):
        import_source.fetch(f"runs:/{run.info.run_id}/model", tmp_path / "to")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("models:/nobody/1", "cannot be had from MLflow"),
        ("models:/nobody@best", "cannot be had from MLflow"),
        ("runs:/0123456789abcdef0123456789abcdef/model", "cannot be had from MLflow"),
        ("s3://bucket/model", "is no model's address, and there is no folder"),
        ("models:people/1", "is no model's address, and there is no folder"),
        ("/nowhere", "is no model's address, and there is no folder"),
        (".", "has no MLmodel file"),
    ],
)
def test_what_is_not_there_is_told(
    uri: str, reason: str, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KindlingError, match=reason) as error:
        import_source.fetch(uri, tmp_path / "to")
    assert error.value.next_step
