"""Training writes a model that is good, described truthfully, and the same each time."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import digits

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def outdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained model."""
    folder = tmp_path_factory.mktemp("digits") / "model"
    digits.write(folder)
    return folder


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that a user had written who trained into work/model."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in ("home", "cache", "tmp", "work"):
        (folder / name).mkdir()
    # In CI the libraries behave themselves without being told.
    unset = ("CI", "ORT_DISABLE_TELEMETRY")
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    environment |= {
        "HOME": str(folder / "home"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-B", "-m", "pipeline.digits", "model"]
    subprocess.run(command, cwd=folder / "work", env=environment, check=True)
    return folder


def test_metadata_describes_the_model_beside_it(outdir: Path) -> None:
    metadata = json.loads((outdir / "model.json").read_text())
    content = (outdir / "model.onnx").read_bytes()
    assert metadata["sha256"] == hashlib.sha256(content).hexdigest()
    assert metadata["version"] == metadata["sha256"][:12]
    assert metadata["name"] == "digits"
    assert metadata["input_shape"] == [None, 64]
    assert set(metadata["libraries"]) >= {"numpy", "scikit-learn", "skl2onnx"}


def test_written_accuracy_is_that_of_the_written_model_on_the_written_rows(outdir: Path) -> None:
    metadata = json.loads((outdir / "model.json").read_text())
    data = digits.prepare()
    assert metadata["held_out"] == data.held_out.tolist()
    accuracy = digits.evaluate((outdir / "model.onnx").read_bytes(), data)
    assert metadata["accuracy"] == accuracy >= digits.MIN_ACCURACY


def test_split_holds_out_a_fifth_of_every_digit_and_never_a_training_row() -> None:
    data = digits.prepare()
    assert len(data.held_out) == 360
    assert sorted([*data.train, *data.held_out]) == list(range(1797))
    for digit in range(10):
        share = np.mean(data.labels[data.held_out] == digit) / np.mean(data.labels == digit)
        assert share == pytest.approx(1, abs=0.05)


def test_split_is_the_same_every_time_and_everywhere() -> None:
    assert digits.prepare().held_out.tolist() == digits.prepare().held_out.tolist()
    assert digits.prepare().held_out[:5].tolist() == [11, 30, 34, 41, 43]


def test_examples_are_held_out_rows_with_their_labels(outdir: Path) -> None:
    data = digits.prepare()
    holdout = json.loads((outdir / "holdout.json").read_text())
    rows = data.held_out[: digits.EXAMPLES]
    assert holdout["request"]["instances"] == data.pixels[rows].tolist()
    assert holdout["labels"] == data.labels[rows].tolist()
    assert json.loads((outdir / "request.json").read_text()) == holdout["request"]


def test_a_model_below_the_threshold_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digits, "fit", lambda data: None)
    monkeypatch.setattr(digits, "export", lambda classifier, data: b"")
    monkeypatch.setattr(digits, "evaluate", lambda model, data: 0.949)
    with pytest.raises(digits.AccuracyTooLowError, match=r"held-out accuracy is 0\.9490"):
        digits.write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_command_line_fails_without_a_traceback_when_the_model_is_too_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def too_bad(outdir: Path) -> None:
        raise digits.AccuracyTooLowError(f"not good enough for {outdir.name}")

    monkeypatch.setattr(digits, "write", too_bad)
    assert digits.main([str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == "not good enough for out\n"


def test_training_leaves_no_trace_outside_its_folder(elsewhere: Path) -> None:
    found = {str(path.relative_to(elsewhere)) for path in elsewhere.rglob("*")}
    names = ("model.onnx", "model.json", "request.json", "holdout.json")
    written = {"work/model", *(f"work/model/{name}" for name in names)}
    assert found == {"home", "cache", "tmp", "work", *written}


def test_training_again_gives_the_same_model(outdir: Path, elsewhere: Path) -> None:
    def digest(folder: Path) -> str:
        return hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()

    assert digest(elsewhere / "work" / "model") == digest(outdir)


def test_the_converters_order_does_not_change_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    data = digits.prepare()
    classifier, convert = digits.fit(data), digits.to_onnx

    def in_another_order(*args: Any, **options: Any) -> Any:
        model = convert(*args, **options)
        opsets = list(model.opset_import)[::-1]
        del model.opset_import[:]
        model.opset_import.extend(opsets)
        return model

    first = digits.export(classifier, data)
    monkeypatch.setattr(digits, "to_onnx", in_another_order)
    assert digits.export(classifier, data) == first
