"""Registering: once for the same files, never for a worse model, and as MLflow's own models are.

MLflow's client keeps its records in a folder here; the server of a cluster is tested in a cluster.
"""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import mlflow
import mlflow.onnx
import numpy as np
import pytest
from mlflow import MlflowClient
from rich.console import Console

from pipeline import digits, gate, package, params, registration, revision, stages, text
from pipeline.__main__ import main
from pipeline.errors import PipelineError
from pipeline.gate import Limit
from pipeline.stages import Build

LIMITS = {"accuracy": Limit(tolerance=0.01, at_least=0.05)}
TINY = dataclasses.replace(text.TINY, gate=LIMITS)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A text model that went through all stages."""
    build, model = Build(tmp_path_factory.mktemp("build")), stages.load("text")
    stages.prepare(model, build, TINY)
    stages.train(model, build, TINY)
    stages.evaluate(model, build)
    return build


@pytest.fixture
def build(evaluated: Build, tmp_path: Path) -> Build:
    """The same in a folder of its own, for a test to change."""
    shutil.copytree(evaluated.root, tmp_path / "build")
    return Build(tmp_path / "build")


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """An empty registry."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "registry").as_uri())
    return MlflowClient()


def register(build: Build, chosen: Any = TINY) -> tuple[dict[str, Any], str]:
    """What came of it, and what was said."""
    out = io.StringIO()
    done = registration.register(stages.load("text"), build, chosen, Console(file=out, width=120))
    return done, out.getvalue()


def evaluate_as(build: Build, **metrics: float) -> None:
    """Let the model in ``build`` be another that was measured so."""
    with (build.model / "loss.csv").open("a") as curve:
        curve.write("1000,1.0,1.0\n")
    described = json.loads((build.evaluation / "model.json").read_text())
    package.write_json(build.evaluation / "model.json", described | metrics)
    known = {"data": package.digest(build.data), "model": package.digest(build.model)}
    package.write_json(build.evaluation / "evaluated.json", known)
    package.write_json(build.metrics, json.loads(build.metrics.read_text()) | metrics)


def test_a_registered_version_is_complete(
    build: Build, client: MlflowClient, tmp_path: Path
) -> None:
    done, said = register(build)
    version = client.get_model_version_by_alias("text", "challenger")
    assert (done["version"], done["new"], done["aliases"]) == ("1", True, ["challenger"])
    assert said.splitlines()[0] == "text: version 1 (challenger) is registered"
    assert done["url"] in said
    assert version.tags["gate"] == "passed"
    (tmp_path / "files").mkdir()
    mlflow.artifacts.download_artifacts("models:/text/1", dst_path=str(tmp_path / "files"))
    sha256 = package.sha256(tmp_path / "files")
    wanted = json.loads(version.tags["sha256"])
    assert list(wanted) == ["model.json", "model.onnx", "reference.json", "tokenizer.model"]
    assert {name: sha256[name] for name in wanted} == wanted
    run = client.get_run(version.run_id or "")
    assert run.data.tags["data_sha256"] == package.digest(build.data)
    assert {"git_commit", "git_dirty"} <= set(run.data.tags)
    assert run.data.params["train.kernels"] == "(2, 2, 2)"
    assert run.data.params["gate.accuracy.at_least"] == "0.05"
    assert run.data.metrics["accuracy"] == json.loads(build.metrics.read_text())["accuracy"]
    assert len(client.get_metric_history(version.run_id or "", "loss_held_out")) > 5
    plots = {file.path for file in client.list_artifacts(version.run_id or "", "evaluation")}
    assert {"evaluation/by_tokens_seen.csv", "evaluation/samples.txt"} <= plots
    assert run.info.run_name == "text version 1"
    experiment = client.get_experiment(run.info.experiment_id)
    assert experiment.name == "text"
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    descriptions = (
        experiment.tags["mlflow.note.content"], run.data.tags["mlflow.note.content"],
        version.description, client.get_registered_model("text").description,
    )  # fmt: skip
    assert all(descriptions)


def test_what_people_wrote_of_an_experiment_stays(build: Build, client: MlflowClient) -> None:
    own = {"mlflow.note.content": "ours", "mlflow.experimentKind": "finetuning"}
    created = client.create_experiment("text", tags=own)
    register(build)
    assert client.get_experiment(created).tags.items() >= own.items()


def test_mlflow_loads_and_runs_a_registered_version(build: Build, client: MlflowClient) -> None:
    register(build)
    graph = mlflow.onnx.load_model("models:/text/1")
    assert graph.graph.input[0].name == "tokens"
    model = mlflow.pyfunc.load_model("models:/text/1")
    assert model.metadata.signature.inputs.inputs[0].shape == (-1, 8)
    logits = model.predict(model.input_example)["logits"]
    assert logits.shape == (1, 384)
    assert np.isfinite(logits).all()


def test_the_same_files_are_registered_once(build: Build, client: MlflowClient) -> None:
    register(build)
    again, said = register(build)
    assert (again["version"], again["new"]) == ("1", False)
    assert "version 1 (challenger) is this very model, registered before" in said
    assert len(client.search_model_versions("name='text'")) == 1
    assert len(client.search_runs([experiment_id(client)])) == 1


def test_a_version_that_is_called_nothing_becomes_the_challenger_again(
    build: Build, client: MlflowClient
) -> None:
    register(build)
    client.delete_registered_model_alias("text", "challenger")
    assert register(build)[0]["aliases"] == ["challenger"]
    client.delete_registered_model_alias("text", "challenger")
    client.set_registered_model_alias("text", "champion", "1")
    assert register(build)[0]["aliases"] == ["champion"]


def test_a_model_below_the_threshold_leaves_the_registry_empty(
    build: Build, client: MlflowClient
) -> None:
    strict = dataclasses.replace(TINY, gate={"accuracy": Limit(tolerance=0.01, at_least=0.99)})
    with pytest.raises(PipelineError, match="falls short of the evaluation gate"):
        register(build, strict)
    assert client.search_registered_models() == []
    assert [found.name for found in client.search_experiments()] == ["Default"]


def test_a_model_worse_than_the_champion_is_not_registered(
    build: Build, client: MlflowClient
) -> None:
    evaluate_as(build, accuracy=0.5)
    register(build)
    client.set_registered_model_alias("text", "champion", "1")
    evaluate_as(build, accuracy=0.48)
    out = io.StringIO()
    with pytest.raises(PipelineError, match="falls short of the champion, version 1"):
        registration.register(stages.load("text"), build, TINY, Console(file=out, width=120))
    heading, row = out.getvalue().splitlines()
    assert heading.split() == ["metric", "value", "threshold", "verdict"]
    assert row.split("  ")[0] == "accuracy"
    assert "at least 0.49 (champion 0.5, tolerance 0.01)" in row
    assert len(client.search_model_versions("name='text'")) == 1
    evaluate_as(build, accuracy=0.492)
    assert register(build)[0]["version"] == "2"


def test_a_champion_of_other_data_is_not_compared(build: Build, client: MlflowClient) -> None:
    evaluate_as(build, accuracy=0.5)
    register(build)
    client.set_registered_model_alias("text", "champion", "1")
    with (build.data / "held_out.jsonl").open("a") as file:
        file.write('{"source": "x.py", "text": "Another one."}\n')
    evaluate_as(build, accuracy=0.1)
    done, said = register(build)
    assert done["version"] == "2"
    assert "the champion, version 1, was evaluated on other data and is not compared" in said


def test_a_model_that_was_not_evaluated_is_refused(build: Build, client: MlflowClient) -> None:
    (build.model / "model.onnx").write_bytes(b"another")
    with pytest.raises(PipelineError, match="has not been evaluated"):
        register(build)
    assert client.search_registered_models() == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:9", "the model registry at http://127.0.0.1:9 cannot be reached"),
        ("", "MLFLOW_TRACKING_URI is not set"),
    ],
)
def test_no_registry_is_one_clear_line(
    build: Build, tmp_path: Path, url: str, message: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    else:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(gate, "judge", lambda *_: [])
    assert main(["register", "text", "--build", str(build.root)]) == 1
    said = capsys.readouterr()
    first, second = said.err.splitlines()
    assert first.startswith(f"error: {message}")
    assert second.startswith("  next: nox -s ")
    assert said.out == ""


def test_the_revision_says_whether_code_was_changed(tmp_path: Path) -> None:
    assert revision.describe(tmp_path) == {"git_commit": "unknown", "git_dirty": "unknown"}

    def git(*words: str) -> str:
        command = ["git", "-C", tmp_path, "-c", "user.name=x", "-c", "user.email=x@x", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    for name in ("dvc.lock", "code.py"):
        (tmp_path / name).write_text("1")
    git("add", ".")
    git("commit", "--quiet", "--message=x")
    commit = git("rev-parse", "HEAD")
    (tmp_path / "dvc.lock").write_text("2")
    assert revision.describe(tmp_path) == {"git_commit": commit, "git_dirty": "false"}
    (tmp_path / "code.py").write_text("2")
    assert revision.describe(tmp_path) == {"git_commit": commit, "git_dirty": "true"}


def test_parameters_are_logged_flat() -> None:
    flat = params.flat(params.load("digits", digits.Params))
    assert flat["train.hidden"] == "(1024, 512)"
    assert flat["gate.accuracy.at_least"] == "0.95"
    assert "gate.accuracy.at_most" not in flat


def experiment_id(client: MlflowClient) -> str:
    experiment = client.get_experiment_by_name("text")
    assert experiment is not None
    return str(experiment.experiment_id)
