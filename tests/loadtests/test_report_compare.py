from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import report_records as records

from kindling.errors import KindlingError
from loadtests.report import Record, compare, words, write


def made(record: Record, folder: Path) -> Path:
    write(record, folder)
    return folder


def test_the_same_run_twice_changes_nothing(tmp_path: Path) -> None:
    a = made(records.passed(), tmp_path / "a")
    b = made(records.passed(records.STARTED + 3600), tmp_path / "b")
    text = compare(a, b)
    assert "Environment: as before" in text
    assert "Checks: as before" in text
    assert "more" not in text
    assert "less" not in text


def test_it_tells_checks_environment_and_numbers_that_changed(tmp_path: Path) -> None:
    a = made(records.passed(), tmp_path / "a")
    changed = records.failed()
    environment = {**records.ENVIRONMENT, "machine_cores": 4, "new": "one"}
    environment["versions"] = {"Locust": "2.47.0"}
    b = made(dataclasses.replace(changed, environment=environment), tmp_path / "b")
    text = compare(a, b / "report.json")
    assert "tested, machine cores: 2 -> 4" in text
    assert "tested, new: not told before, now one" in text
    assert "versions, Prometheus: 3.9.1, now not told" in text
    assert "Locust" not in text
    assert "scale-out: pods are added: passed -> failed (4 after 47 s -> 2 ready pods" in text
    assert "pods are removed again" not in text
    rows = {tuple(line.split()[:2]): line.split()[2:] for line in text.splitlines() if "  " in line}
    assert rows["rollout", "failed"][:2] == ["0", "74"]
    assert rows["scale-out", "p95"][-1] == "more"
    assert "no answer" in " ".join(rows["rollout", "p95"])
    old, new = (json.loads((f / "report.json").read_text())["scenarios"][1] for f in (a, b))
    ratio = new["latency"]["p95"] / old["latency"]["p95"]
    assert f"{ratio:.2f}" in rows["scale-out", "p95"]


def test_a_number_that_only_the_second_has_is_told(tmp_path: Path) -> None:
    record = records.passed()
    first = dataclasses.replace(record.scenarios[0], numbers={"resolve_seconds": 41.0})
    a = made(record, tmp_path / "a")
    changed = dataclasses.replace(record, scenarios=[first, *record.scenarios[1:]])
    b = made(changed, tmp_path / "b")
    rows = [line.split() for line in compare(a, b).splitlines()]
    assert ["baseline", "resolve", words.DASH, "41", "s", "changed"] in rows


def test_scenarios_of_one_report_only(tmp_path: Path) -> None:
    a = made(records.passed(), tmp_path / "a")
    b = made(records.interrupted(), tmp_path / "b")
    lines = [line.split() for line in compare(a, b).splitlines()]
    assert ["rollout", "only", "here"] in lines
    assert any(line[:2] == ["baseline", "p95"] for line in lines)
    empty = made(records.empty(), tmp_path / "c")
    assert "neither report has a scenario" in compare(empty, empty)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no report at"),
        ("{", "is not a report: "),
        ("[]", "is not a report of a load test"),
        ('{"a": 1}', "is not a report of a load test"),
        ('{"schema": 99, "verdict": "passed"}', "has schema 99, this version reads 2"),
        ('{"schema": 2}', "is not a report of a load test: verdict is missing"),
        (b"\xff\xfe", "is not a report"),
    ],
)
def test_what_is_no_report_is_refused_in_one_line(
    content: str | bytes | None, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "report.json"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    good = made(records.empty(), tmp_path / "good")
    with pytest.raises(KindlingError) as caught:
        compare(good, file)
    assert said in caught.value.message
    assert str(file) in caught.value.message
    assert "\n" not in caught.value.message
