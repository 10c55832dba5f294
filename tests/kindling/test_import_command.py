"""`import-model` from its arguments to its table; the container and the registry are fakes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from imported import answer

from kindling import (
    cluster,
    engine,
    import_answer,
    import_container,
    import_model,
    import_registration,
    paths,
)
from kindling.errors import KindlingError
from kindling.registry_access import RegistryAccess

KNOWN = {"name": "kindling", "engine": {"docker": "/docker", "host": "unix:///x"}}
ANSWER = import_answer.read(io.BytesIO(answer(ties=2)), "mine")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    (made / "MLmodel").write_text("flavors: {}")
    return made


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A cluster with an engine, where a converter says ``ANSWER``; what it was asked is kept."""
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    asked: dict[str, Any] = {}

    def convert(docker: Any, image: str, model: Path, name: str) -> Any:
        asked["convert"] = (docker.host, image, sorted(one.name for one in model.iterdir()), name)
        return asked.get("answer", ANSWER)

    def register(name: str, files: Path, source: Path, uri: str, *_: Any) -> tuple[str, bool]:
        asked["register"] = (name, sorted(one.name for one in files.iterdir()), uri)
        return "4", True

    monkeypatch.setattr(cluster, "known", lambda name: KNOWN)
    monkeypatch.setattr(engine, "answers", lambda docker, host: True)
    monkeypatch.setattr(import_model, "_image", lambda known, docker: "importer:1")
    monkeypatch.setattr(
        import_model, "access", lambda name: RegistryAccess("http://127.0.0.1:1", "admin", "secret")
    )
    monkeypatch.setattr(RegistryAccess, "export", lambda self: None)
    monkeypatch.setattr(import_container, "sweep", lambda docker: None)
    monkeypatch.setattr(import_container, "convert", convert)
    monkeypatch.setattr(import_registration, "register", register)
    monkeypatch.setattr(import_model, "check_experiments", lambda *_: None)
    return asked


def test_a_model_is_imported(
    world: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_model.main([str(folder), "mine"]) == 0
    assert world["convert"] == ("unix:///x", "importer:1", ["MLmodel"], "mine")
    assert world["register"] == ("mine", ["model.json", "model.onnx"], str(folder))
    # Lines break where a terminal ends.
    said = " ".join(capsys.readouterr().out.split())
    for words in (
        "Pipeline of scikit-learn 1.9.1 (sklearn)", "age: double", "children: long",
        "prediction: double",
        "1000 random rows, 500 at its boundaries, 3 of its example: no label differs, 2 ties",
        "by 2e-08 of their spread at most (double precision)", "mine 4",
        "next: nox -s promote -- mine 4",
    ):  # fmt: skip
        assert words in said
    # Nothing stays but what caches.
    assert list(paths.work_dir().iterdir()) == []


def test_what_xgboosts_file_does_not_hold_is_said(
    world: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_model.main([str(folder), "mine"]) == 0
    assert "does not hold" not in capsys.readouterr().out
    figures = ANSWER.figures.model_copy(update={"flavor": "xgboost"})
    world["answer"] = import_answer.Answer(figures, ANSWER.files)
    assert import_model.main([str(folder), "mine"]) == 0
    assert "does not hold the estimator's `missing`" in " ".join(capsys.readouterr().out.split())


def test_a_package_that_does_not_run_is_not_registered(
    world: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = dict(ANSWER.files) | {"model.onnx": b"\x80\x04."}
    world["answer"] = import_answer.Answer(ANSWER.figures, files)
    assert import_model.main([str(folder), "mine"]) == 1
    assert "is not taken: model.onnx is not a model that can be run" in capsys.readouterr().err
    assert "register" not in world


def test_what_is_to_be_typed_next_is_about_the_same_cluster(
    world: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_model.main([str(folder), "mine", "-e", "cluster_name=other"]) == 0
    said = capsys.readouterr().out
    assert said.endswith("next: nox -s promote -- mine 4 -e cluster_name=other\n")


def test_the_experiment_of_traces_is_no_model(
    world: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_model.main([str(folder), "traces"]) == 1
    assert "experiment of the service's traces" in capsys.readouterr().err


def test_a_refusal_is_one_line_and_a_next_step(
    world: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def refuse(*_: Any) -> Any:
        raise KindlingError("its step Mine has no ONNX converter", next_step="replace it")

    monkeypatch.setattr(import_container, "convert", refuse)
    assert import_model.main([str(folder), "mine"]) == 1
    said = capsys.readouterr().err
    assert said == "error: its step Mine has no ONNX converter\n  next: replace it\n"
    assert "register" not in world


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a b", "cannot be called 'a b'"),
        ("../up", "cannot be called"),
        ("x" * 64, "63 at most"),
        ("digits", "digits is a model that is trained here"),
    ],
)
def test_a_bad_name_is_told_before_anything_is_done(
    name: str, reason: str, world: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_model.main([str(folder), name]) == 1
    assert reason in capsys.readouterr().err
    assert world == {}


def test_no_engine_no_import(
    world: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(engine, "answers", lambda docker, host: False)
    assert import_model.main([str(folder), "mine"]) == 1
    said = capsys.readouterr().err
    assert "no container engine answers" in said
    assert "next: nox -s cluster-up" in said


def test_a_deleted_experiment_is_told_before_anything_is_converted(
    world: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def check(_: RegistryAccess, names: list[str]) -> None:
        raise KindlingError(f"the experiment {names[0]} was deleted")

    monkeypatch.setattr(import_model, "check_experiments", check)
    assert import_model.main([str(folder), "mine"]) == 1
    assert "the experiment mine was deleted" in capsys.readouterr().err
    assert world == {}


def test_an_address_that_is_none_is_told_first(
    world: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_model.main(["/nowhere", "mine"]) == 1
    assert "no model's address, and there is no folder" in capsys.readouterr().err
