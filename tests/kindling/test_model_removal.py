"""Removing a version with its run and files, and bringing back a deleted experiment."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from loopback import JsonHandler, Loopback

from kindling import model_removal, models, paths, registry_access
from kindling.errors import KindlingError
from kindling.model_registry import Canary, ModelRegistry
from kindling.registry_access import RegistryAccess

LOGGED = "models:/m-0a1b"


class Client:
    """Versions of ``digits``, and what is asked to be deleted."""

    def __init__(self, *runs: str) -> None:
        self.aliases: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.deleted: list[str] = []
        self.found = [
            SimpleNamespace(
                name="digits", version=str(number), run_id=run, model_id=None, tags={},
                source=f"{LOGGED}{run}",
            )
            for number, run in enumerate(runs, 1)
        ]  # fmt: skip

    def get_registered_model(self, _: str) -> Any:
        return SimpleNamespace(aliases=self.aliases, tags=self.tags)

    def search_model_versions(self, filter_string: str, **_: Any) -> Any:
        found = [
            one
            for one in self.found
            if filter_string in ("name = 'digits'", f"run_id = '{one.run_id}'")
        ]
        return Page(found)

    def get_run(self, run: str) -> Any:
        stage = "deleted" if f"run {run}" in self.deleted else "active"
        return SimpleNamespace(info=SimpleNamespace(lifecycle_stage=stage))

    def delete_run(self, run: str) -> None:
        assert f"run {run}" not in self.deleted
        self.deleted.append(f"run {run}")

    def delete_logged_model(self, model: str) -> None:
        self.deleted.append(f"model {model}")

    def delete_model_version(self, _: str, version: str) -> None:
        self.deleted.append(f"version {version}")
        self.found = [one for one in self.found if one.version != version]


class Page(list[Any]):
    token = None


class Stores:
    """Notes what is removed for good; fails first, if it is to."""

    def __init__(self, client: Client, *, failures: int = 0) -> None:
        self.client, self.failures = client, failures

    def remove(self, run: str, model: str) -> None:
        if self.failures:
            self.failures -= 1
            raise KindlingError("pod mlflow: gone")
        self.client.deleted.append(f"files of {run or '-'} {model or '-'}")


def delete(client: Client, version: str, stores: Stores | None = None) -> list[str]:
    registry = ModelRegistry(client)  # type: ignore[arg-type]
    return model_removal.delete(registry, stores or Stores(client), "digits", version)  # type: ignore[arg-type]


def test_a_version_goes_with_its_run_its_model_and_their_files() -> None:
    client = Client("a", "b")
    assert delete(client, "1") == []
    assert client.deleted == ["run a", "model m-0a1ba", "files of a m-0a1ba", "version 1"]


def test_what_another_version_is_of_too_stays() -> None:
    client = Client("a", "a")
    assert delete(client, "1") == ["run a", "logged model m-0a1ba"]
    assert client.deleted == ["version 1"]
    assert delete(client, "2") == []
    assert client.deleted[1:] == ["run a", "model m-0a1ba", "files of a m-0a1ba", "version 2"]


def test_a_removal_that_failed_is_done_by_the_same_command_again() -> None:
    client = Client("a")
    stores = Stores(client, failures=1)
    with pytest.raises(KindlingError, match="gone"):
        delete(client, "1", stores)
    assert delete(client, "1", stores) == []
    assert client.deleted[-1] == "version 1"


@pytest.mark.parametrize("alias", ["champion", "previous"])
def test_a_version_that_is_served_or_may_be_is_not_removed(alias: str) -> None:
    client = Client("a")
    client.aliases = {alias: "1"}
    with pytest.raises(KindlingError, match=f"version 1 of digits is {alias}"):
        delete(client, "1")
    assert client.deleted == []


def test_a_canary_is_not_removed_while_it_lasts() -> None:
    client = Client("a")
    registry = ModelRegistry(client)  # type: ignore[arg-type]
    client.tags = {"canary": '{"version": "1", "share": 0.1, "until": 99999999999}'}
    assert isinstance(registry.canary("digits"), Canary)
    with pytest.raises(KindlingError, match="version 1 of digits is a canary"):
        delete(client, "1")


def test_a_deleted_experiment_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "registry").as_uri())
    client = MlflowClient()
    identity = client.create_experiment("mine")
    registry = ModelRegistry(client)
    with pytest.raises(KindlingError, match="the experiment mine is not deleted"):
        model_removal.restore_experiment(registry, "mine")
    with pytest.raises(KindlingError, match="there is no experiment other"):
        model_removal.restore_experiment(registry, "other")
    client.delete_experiment(identity)
    monkeypatch.setattr(models.Service, "connect", lambda _: SimpleNamespace(registry=registry))
    assert models.main(["list", "--restore-experiment", "mine"]) == 0
    assert client.get_experiment(identity).lifecycle_stage == "active"


class Experiments(Loopback):
    """MLflow's answers about experiments, by their names."""

    handler = JsonHandler

    def __init__(self, **stages: str) -> None:
        self.found = stages

    def answer(self, query: dict[str, list[str]]) -> tuple[int, Any]:
        (name,) = query["experiment_name"]
        if name not in self.found:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST"}
        return 200, {"experiment": {"name": name, "lifecycle_stage": self.found[name]}}


def test_a_deleted_experiment_is_told_before_the_work() -> None:
    with Experiments(digits="active", mine="deleted") as server:
        registry = RegistryAccess(server.url, "admin", "secret")
        registry_access.check_experiments(registry, ["digits", "new"])
        with pytest.raises(KindlingError, match="the experiment mine was deleted") as failure:
            registry_access.check_experiments(registry, ["digits", "mine"])
    assert failure.value.next_step == "nox -s models -- --restore-experiment mine"


@pytest.mark.filterwarnings("ignore:.*Any type hint")
def test_only_what_is_deleted_is_removed_in_the_servers_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``mlflow gc`` would remove every deleted experiment too."""
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = (tmp_path / "registry").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.syspath_prepend(str(paths.REPOSITORY / "images" / "mlflow"))
    import remove

    client = MlflowClient()
    deleted = client.create_experiment("deleted")
    client.delete_experiment(deleted)
    runs = [client.create_run("0").info for _ in range(2)]
    for run in runs:
        client.log_text(run.run_id, "x", "file.txt")
    client.delete_run(runs[0].run_id)
    remove.remove(store, [runs[0].run_id, "0" * 32], [])
    folders = [Path(str(run.artifact_uri).removeprefix("file://")) for run in runs]
    assert [(folder / "file.txt").exists() for folder in folders] == [False, True]
    assert client.get_experiment(deleted).lifecycle_stage == "deleted"
    assert sys.modules["serve"].database_url(
        {
            "DATABASE_USER": "u", "DATABASE_PASSWORD": "p/@", "DATABASE_HOST": "h",
            "DATABASE_PORT": "1", "DATABASE_NAME": "d",
        }
    ) == "postgresql://u:p%2F%40@h:1/d"  # fmt: skip
