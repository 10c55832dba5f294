"""The faulty challenger of a load test: well where a trial looks, and nowhere else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime as ort
import pytest
import yaml
from fake_service import known
from mlflow import MlflowClient

from kindling import paths
from kindling.errors import KindlingError
from loadtests.answers import Judge, Verdict
from loadtests.challenger import MODEL, Versions, faulty, faulty_challenger
from loadtests.scenarios.alerts import _data
from pipeline import digits, package
from service.loader import read_descriptor


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder: Path = tmp_path_factory.mktemp("package")
    digits.write_package(folder)
    return (folder / "model.onnx").read_bytes()


def probabilities(
    graph: bytes, rows: list[list[float]]
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (name,) = [one.name for one in session.get_inputs()]
    found = session.run(None, {name: np.array(rows, np.float32)})[1]
    return np.asarray(found)


def test_it_answers_a_trial_as_the_sound_one_does(sound: bytes) -> None:
    trial = [[0.0] * 64, [16.0] * 64]
    broken = faulty(sound, full=16 * 64)
    assert np.array_equal(probabilities(broken, trial), probabilities(sound, trial))


def test_it_fails_on_real_rows_but_not_on_the_trials_beside_them(sound: bytes) -> None:
    rows = [[0.0] * 64, [1.0] * 64, [16.0] * 63 + [15.0]]
    found = probabilities(faulty(sound, full=16 * 64), rows)
    assert np.isnan(found).all(axis=1).tolist() == [False, True, True]


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A registry with a champion of digits."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "registry").as_uri())
    client = MlflowClient()
    folder = tmp_path / "package"
    folder.mkdir()
    digits.write_package(folder)
    run = client.create_run("0").info
    client.log_artifacts(run.run_id, str(folder), "model")
    client.create_registered_model("digits")
    client.create_model_version("digits", f"{run.artifact_uri}/model", run.run_id)
    client.set_registered_model_alias("digits", "champion", "1")
    return client


def downloaded(name: str, version: str, to: Path) -> Path:
    to.mkdir()
    return Path(mlflow.artifacts.download_artifacts(f"models:/{name}/{version}", dst_path=str(to)))


def test_a_model_of_its_own_is_there_while_it_is_needed(
    client: MlflowClient, tmp_path: Path
) -> None:
    before = client.get_model_version_by_alias("digits", "champion")
    with faulty_challenger(client, "digits") as versions:
        assert versions == Versions(source="1", sound="1", faulty="2")
        champion = client.get_model_version_by_alias(MODEL, "champion")
        assert str(champion.version) == versions.sound
        files = {
            name: downloaded(MODEL, version, tmp_path / name)
            for name, version in (("sound", versions.sound), ("faulty", versions.faulty))
        }
        for name, version in (("sound", versions.sound), ("faulty", versions.faulty)):
            tags = client.get_model_version(MODEL, version).tags
            assert tags["gate"] == "passed"
            digests = package.sha256(files[name])
            expected = json.loads(tags["sha256"])
            assert expected == {file: digests[file] for file in expected}
            # The service refuses a package of another model.
            assert read_descriptor(files[name], MODEL).classifier
        source = (tmp_path / "package" / "model.onnx").read_bytes()
        assert (files["sound"] / "model.onnx").read_bytes() == source
        assert (files["faulty"] / "model.onnx").read_bytes() != source
    assert [one.name for one in client.search_registered_models()] == ["digits"]
    assert client.get_model_version_by_alias("digits", "champion") == before
    assert [one.name for one in client.search_experiments()] == ["Default"]


def test_what_a_killed_load_test_left_is_replaced(client: MlflowClient) -> None:
    client.create_registered_model(MODEL)
    for _ in range(2):
        with faulty_challenger(client, "digits") as versions:
            assert versions.faulty == "2"


def test_without_a_champion_it_says_so_and_leaves_nothing(client: MlflowClient) -> None:
    with (
        pytest.raises(KindlingError, match="the champion of text cannot be had"),
        faulty_challenger(client, "text"),
    ):
        pass
    assert [one.name for one in client.search_registered_models()] == ["digits"]
    assert [one.name for one in client.search_experiments()] == ["Default"]


def test_its_copy_of_the_champion_must_respond_as_the_champion_does() -> None:
    data = _data(known(), Versions(source="7", sound="1", faulty="2"))
    assert json.loads(data.request([3]))["model"] == MODEL
    response = {
        "model": MODEL,
        "version": "1",
        "predictions": [{"label": 4, "probabilities": [float(i == 4) for i in range(10)]}],
    }
    judge = Judge(data)
    assert judge.prediction(json.dumps(response).encode(), [3]) == Verdict("wrong", "label")
    assert judge.prediction(json.dumps(response).encode(), [4]) == Verdict("ok")
    response["model"] = "digits"
    assert judge.prediction(json.dumps(response).encode(), [4]) == Verdict("wrong", "model")


def test_every_rule_of_the_budgets_leaves_its_requests_out_and_no_other_rule_does() -> None:
    left_out = f'model!="{MODEL}"'
    for file in (paths.REPOSITORY / "charts/prometheus/rules").glob("*.yml"):
        rules = yaml.safe_load(file.read_text())["groups"][0]["rules"]
        for selector in re.findall(r"llm_\w+(?:\{[^}]*\})?", " ".join(r["expr"] for r in rules)):
            # A record's own name is no selector of what pods export.
            if not re.match(r"llm_request(s_total|_latency_seconds_(count|bucket))\b", selector):
                continue
            assert (left_out in selector) == (file.stem == "slo"), selector
