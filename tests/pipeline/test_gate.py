"""What the evaluation gate lets through, and what it says of the rest."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from pipeline import digits, gate, params, stages
from pipeline.__main__ import main
from pipeline.errors import PipelineError
from pipeline.gate import Limit
from pipeline.registry import is_of

LIMITS = {
    "accuracy": Limit(at_least=0.95, tolerance=0.01),
    "perplexity": Limit(at_most=60.0, tolerance=1.0),
}


def passed(verdicts: list[gate.Verdict]) -> list[bool]:
    return [verdict.passed for verdict in verdicts]


@pytest.mark.parametrize(
    ("accuracy", "perplexity", "expected"),
    [
        (0.95, 60.0, [True, True]),
        (0.9499, 60.0, [False, True]),
        (0.99, 60.1, [True, False]),
        (math.nan, math.nan, [False, False]),
    ],
)
def test_thresholds_are_met_or_not(
    accuracy: float, perplexity: float, expected: list[bool]
) -> None:
    assert passed(gate.judge({"accuracy": accuracy, "perplexity": perplexity}, LIMITS)) == expected


@pytest.mark.parametrize(
    ("accuracy", "expected"), [(0.98, True), (0.97, True), (0.9699, False), (math.nan, False)]
)
def test_it_may_be_worse_than_the_champion_by_the_tolerance(
    accuracy: float, expected: bool
) -> None:
    metrics = {"accuracy": accuracy, "perplexity": 1.0}
    assert passed(gate.compare(metrics, {"accuracy": 0.98}, LIMITS)) == [expected]


def test_what_is_not_measured_does_not_pass_unseen() -> None:
    with pytest.raises(PipelineError, match="asks for perplexity, which is not measured"):
        gate.judge({"accuracy": 1.0}, LIMITS)


def test_what_falls_short_is_a_table() -> None:
    out = io.StringIO()
    verdicts = gate.judge({"accuracy": 0.5, "perplexity": 1.0}, LIMITS)
    with pytest.raises(PipelineError, match="digits falls short of the evaluation gate"):
        gate.enforce("digits", verdicts, Console(file=out, width=100))
    heading, row = out.getvalue().splitlines()
    assert heading.split() == ["metric", "value", "threshold", "verdict"]
    assert row.split() == ["accuracy", "0.5", "at", "least", "0.95", "falls", "short"]


def test_a_worse_model_stops_the_pipeline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = yaml.safe_load(params.FILE.read_text())
    chosen["digits"]["train"] |= {"hidden": [2], "rounds": 1}
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(chosen))
    words = ["--params", str(file), "--build", str(tmp_path / "build")]
    assert main(["prepare", "digits", *words]) == 0
    assert main(["train", "digits", *words]) == 0
    assert main(["evaluate", "digits", *words]) == 1
    said = capsys.readouterr()
    assert "falls short" in said.out
    assert "nothing is registered" in said.err
    build = stages.Build(tmp_path / "build")
    with pytest.raises(PipelineError, match="falls short"):
        gate.enforce(
            "digits",
            gate.judge(stages.metrics(build), params.load("digits", digits.Params).gate),
            Console(file=io.StringIO()),
        )


def test_only_the_very_same_files_that_passed_are_the_same_model() -> None:
    tags = {"sha256": '{"model.onnx": "a"}', "gate": "passed"}
    assert is_of(tags, {"model.onnx": "a"})
    assert not is_of(tags, {"model.onnx": "b"})
    assert not is_of({**tags, "gate": "failed"}, {"model.onnx": "a"})
    assert not is_of({"gate": "passed"}, {"model.onnx": "a"})
    assert not is_of({**tags, "sha256": "{"}, {"model.onnx": "a"})
