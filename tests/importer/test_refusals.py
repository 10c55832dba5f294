"""What cannot be converted is refused with one reason for its owner, and a next step."""

from __future__ import annotations

from pathlib import Path

import pytest
from converter import MAKER, Converter, run

from kindling.errors import KindlingError

REFUSALS = [
    ("with_a_function", "FunctionTransformer has a function of its own", "before the pipeline"),
    ("with_an_old_function", r"a function of its own, of Python 3\.8\.1", "before the pipeline"),
    ("with_a_class_of_its_own", "its step .*Own has no ONNX converter", "supported.html"),
    ("of_nowhere", "needs the module mine, which is not here", "code_paths"),
    ("with_categories", "the booster gblinear", "train it without that"),
    ("other_flavor", "its flavors are python_function", "mlflow.sklearn, mlflow.xgboost"),
    ("undescribed", "neither a signature nor an input example", "infer_signature"),
    ("of_dates", "its column when is of type datetime", "numbers or strings"),
    (
        "old",
        r"saved with scikit-learn 0\.20\.1 and cannot be loaded by \d",
        "log it again with",
    ),
    (
        "outdated",
        r"saved with scikit-learn 0\.20\.1, is loaded by .*, and then fails to predict",
        "train and log it again with scikit-learn",
    ),
    ("unsigned", "its signature says .* has no type for .uint64", "cast that column to int64"),
    ("by_decision", "pyfunc_predict_fn=decision_function", "log it without"),
    ("prints", "a NoneType has no predict", "log the whole pipeline"),
]


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder for each of them."""
    out = tmp_path_factory.mktemp("bad")
    done = run(MAKER, out, *(name for name, _, _ in REFUSALS))
    assert done.returncode == 0, done.stderr.decode()
    return out


@pytest.mark.parametrize(("name", "reason", "next_step"), REFUSALS)
def test_the_reason_is_clear(
    name: str, reason: str, next_step: str, bad: Path, converter: Converter
) -> None:
    with pytest.raises(KindlingError, match=reason) as error:
        converter.convert(bad / name / "model")
    assert next_step in error.value.next_step
    assert "\n" not in error.value.for_people().replace("\n  next: ", "")


def test_a_folder_of_anything_else_is_refused(tmp_path: Path, converter: Converter) -> None:
    (tmp_path / "MLmodel").write_text("- no\n- model")
    with pytest.raises(KindlingError, match="MLmodel file cannot be read"):
        converter.convert(tmp_path)


def test_a_process_of_its_own_refuses_with_the_same_words(bad: Path, converter: Converter) -> None:
    model = bad / "prints" / "model"
    done = run("-m", "importer", model, "mine")
    assert (done.returncode, done.stdout) == converter.said(model)
    assert done.returncode == 3
