"""The faulty challenger of a load test: well where a trial looks, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from loadtests.challenger import faulty
from pipeline import digits


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
