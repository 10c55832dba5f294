"""``params.yaml`` and ``dvc.yaml``: read strictly, and in step with the code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import params, stages
from pipeline.errors import PipelineError

ROOT = Path(__file__).parents[2]


def of(name: str) -> Any:
    return params.load(name, stages.load(name).Params)


@pytest.mark.parametrize("name", stages.MODELS)
def test_every_parameter_is_read_and_every_one_that_is_read_is_there(name: str) -> None:
    assert params.flat(of(name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": None}, r"digits\.train\.seed in params\.yaml is None, not of type int"),
        ({"seed": "20"}, r"digits\.train\.seed in params\.yaml is '20', not of type int"),
        ({"seed": True}, r"digits\.train\.seed in params\.yaml is True"),
        ({"round": 3}, r"digits\.train in params\.yaml: nothing reads round"),
    ],
)
def test_a_parameter_that_cannot_be_meant_is_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    content = yaml.safe_load(params.FILE.read_text())
    content["digits"]["train"] |= change
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(PipelineError, match=message):
        params.load("digits", stages.load("digits").Params, file)


def test_an_unknown_model_gets_those_that_exist() -> None:
    with pytest.raises(PipelineError) as failure:
        stages.load("letters")
    assert failure.value.next_step == "one of: digits, text"


def test_every_stage_depends_on_files_that_are_there_and_on_parameters_that_are_used() -> None:
    described = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    chosen = yaml.safe_load(params.FILE.read_text())
    made = {out for stage in described.values() for out in stage["do"]["outs"]}
    assert list(described) == ["prepare", "train", "evaluate"]
    for stage in described.values():
        assert stage["foreach"] == list(stages.MODELS)
        for name in stage["foreach"]:
            for dependency in stage["do"]["deps"]:
                path = dependency.replace("${item}", name)
                assert dependency in made or (ROOT / path).exists(), path
            for parameter in stage["do"]["params"]:
                model, part = parameter.replace("${item}", name).split(".")
                assert part in chosen[model]


def test_the_lock_is_of_the_parameters_that_are_there() -> None:
    locked = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
    chosen = yaml.safe_load(params.FILE.read_text())
    for name in stages.MODELS:
        assert locked[f"train@{name}"]["params"]["params.yaml"] == {
            f"{name}.train": chosen[name]["train"]
        }


def test_the_lock_is_of_the_code_that_is_there_so_that_training_leaves_a_checkout_as_it_was() -> (
    None
):
    locked = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
    for stage, known in locked.items():
        for dependency in known["deps"]:
            if not dependency["path"].startswith("pipeline/build/"):
                path = ROOT / dependency["path"]
                told = f"{path} is not what {stage} was run with: nox -s train -- --no-register"
                assert dependency["md5"] == dvc_hash(path), told


def dvc_hash(path: Path) -> str:
    """What DVC writes into its lock."""
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix != ".pyc")
    content = [
        {"md5": dvc_hash(file), "relpath": file.relative_to(path).as_posix()} for file in files
    ]
    return f"{hashlib.md5(json.dumps(content).encode()).hexdigest()}.dir"
