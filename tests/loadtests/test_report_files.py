from __future__ import annotations

import dataclasses
import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import report_records as records

from loadtests.checks import Check
from loadtests.report import folder, history, write
from loadtests.report.document import document, read
from loadtests.samples import COLUMNS
from loadtests.timeline import Timeline

ALL = [records.passed, records.failed, records.invalid, records.interrupted, records.empty]
SCHEMA = json.loads(Path(folder.__file__).with_name("schema.json").read_text())
FILES = {"report.json", "junit.xml", "index.html", "timeline.jsonl", "requests.tsv.gz"}


@pytest.mark.parametrize("made", ALL)
def test_all_files_are_there_and_the_schema_holds(made: Any, tmp_path: Path) -> None:
    record = made()
    assert write(record, tmp_path / "report") == tmp_path / "report" / "index.html"
    assert {file.name for file in (tmp_path / "report").iterdir()} >= FILES
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.check_schema(SCHEMA)
    assert [error.message for error in validator.iter_errors(report)] == []
    assert report == json.loads(json.dumps(document(record)))
    columns = [
        c for part in ("load", "latency", "replicas") for c in report["series"][part].values()
    ]
    assert {len(column) for column in columns} == {report["series"]["length"]}


def test_the_schema_is_closed_and_says_what_each_field_is() -> None:
    def check(schema: dict[str, Any], path: str) -> None:
        for name, one in schema.get("properties", {}).items():
            check(one, f"{path}.{name}")
        if schema.get("type") == "object":
            assert "additionalProperties" in schema, path
            if "properties" in schema:
                assert schema["additionalProperties"] is False, path
                assert set(schema["required"]) == set(schema["properties"]), path
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                check(schema[key], f"{path}.{key}")

    check(SCHEMA, "report")
    assert all("description" in one for one in SCHEMA["properties"].values())


def test_timeline_and_requests_are_kept_whole(tmp_path: Path) -> None:
    record = records.interrupted()
    write(record, tmp_path / "report")
    timeline = Timeline.read(tmp_path / "report" / "timeline.jsonl")
    assert list(timeline) == list(record.timeline)
    rows = gzip.decompress((tmp_path / "report" / "requests.tsv.gz").read_bytes()).decode()
    header, *lines = rows.splitlines()
    assert tuple(header.split("\t")) == COLUMNS
    assert len(lines) == len(record.samples)
    assert float(lines[7].split("\t")[2]) == pytest.approx(record.samples.ended[7], abs=1e-5)


@pytest.mark.parametrize(
    ("made", "counts"),
    [
        (records.passed, {"tests": 9, "failures": 0, "errors": 0, "skipped": 1}),
        (records.failed, {"tests": 9, "failures": 2, "errors": 0, "skipped": 1}),
        (records.invalid, {"tests": 10, "failures": 0, "errors": 1, "skipped": 1}),
        (records.interrupted, {"tests": 3, "failures": 0, "errors": 1, "skipped": 0}),
        (records.empty, {"tests": 1, "failures": 0, "errors": 1, "skipped": 0}),
    ],
)
def test_junit_counts_as_the_verdict_does(
    made: Any, counts: dict[str, int], tmp_path: Path
) -> None:  # fmt: skip
    write(made(), tmp_path / "report")
    root = ElementTree.parse(tmp_path / "report" / "junit.xml").getroot()
    assert root.tag == "testsuites"
    assert {name: int(root.attrib[name]) for name in counts} == counts
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert len(root.findall(f"testsuite/testcase/{tag}")) == counts[name]
        assert sum(int(suite.attrib[name]) for suite in root) == counts[name]
    for case in root.iter("testcase"):
        assert {"name", "classname", "time"} <= set(case.attrib)


def test_junit_has_a_suite_for_each_scenario_with_facts_and_hints(tmp_path: Path) -> None:
    record = records.failed()
    write(record, tmp_path / "report")
    root = ElementTree.parse(tmp_path / "report" / "junit.xml").getroot()
    assert [suite.attrib["name"] for suite in root] == [one.name for one in record.scenarios]
    suite = root[1]
    facts = {one.attrib["name"]: one.attrib["value"] for one in suite.iter("property")}
    assert facts["shortened.scrape interval"] == "5 s, in production 30 s"
    assert int(facts["requests"]) == document(record)["scenarios"][1]["requests"]
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "2 ready pods after 90 s" in failure.attrib["message"]
    assert "AutoscalerCannotScale" in str(failure.text)


def test_junit_takes_any_text(tmp_path: Path) -> None:
    odd = Check("a\x00b", "<&>\"'\x1b[31m", "\ud800", "\x0b", "]]>", "failed", "\ufffe")
    write(dataclasses.replace(records.empty(), checks=[odd]), tmp_path / "report")
    root = ElementTree.parse(tmp_path / "report" / "junit.xml").getroot()
    case = next(root.iter("testcase"))
    assert case.attrib["name"].startswith("<&>\"'")


def test_a_report_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(records.passed(), tmp_path / "report")
    before = contents(tmp_path)

    def fail(*_: object) -> str:
        raise OSError("no space left")

    monkeypatch.setattr(folder.page, "render", fail)
    with pytest.raises(OSError, match="no space left"):
        write(records.failed(), tmp_path / "report")
    assert contents(tmp_path) == before


def test_a_killed_run_leaves_a_whole_report(tmp_path: Path) -> None:
    program = (
        "import dataclasses, itertools, pathlib, sys; import report_records as records\n"
        "from loadtests.report import write\n"
        "for n in itertools.count():\n"
        "    record = records.empty()\n"
        "    record = dataclasses.replace(record, started=record.started + n * 60,\n"
        "                                 ended=record.ended + n * 60, command=f'run {n}.')\n"
        "    write(record, pathlib.Path(sys.argv[1]))\n"
        "    print(n, flush=True)\n"
    )
    here = Path(__file__)
    variables = {**os.environ, "PYTHONPATH": f"{here.parents[2]}{os.pathsep}{here.parent}"}
    for kill_after in (1, 3, 4):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "report")], env=variables,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout
        for _ in range(kill_after):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        made = tmp_path / "report"
        report = read(made)
        assert f"<code>{report['command']}</code>" in (made / "index.html").read_text()
        assert {file.name for file in made.iterdir()} == FILES | {"history"}


def test_files_of_others_are_carried_over(tmp_path: Path) -> None:
    target = tmp_path / "report"
    (target / "logs").mkdir(parents=True)
    (target / "logs" / "generator.txt").write_text("kept")
    write(records.empty(), target)
    write(records.interrupted(), target)
    assert (target / "logs" / "generator.txt").read_text() == "kept"


def test_a_folder_that_cannot_be_exchanged_is_filled_file_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mounted(*_: object) -> None:
        raise OSError("device or resource busy")

    write(records.empty(), tmp_path / "report")
    monkeypatch.setattr(folder, "_exchange", mounted)
    write(records.interrupted(), tmp_path / "report")
    assert read(tmp_path / "report")["verdict"] == "interrupted"
    assert {file.name for file in (tmp_path / "report").iterdir()} >= FILES


def test_history_keeps_finished_runs_and_no_more_than_fifty(tmp_path: Path) -> None:
    report = document(records.empty())
    for n in range(history.MOST + 5):
        history.add(tmp_path, {**report, "started": report["started"] + n * 3600})
    kept = history.load(tmp_path)
    assert len(kept) == len(list(tmp_path.iterdir())) == history.MOST
    assert kept[0]["started"] == report["started"] + 5 * 3600
    assert (tmp_path / "2026-09-23T19-13-20Z.json").exists()
    (tmp_path / "2026-09-23T20-00-00Z.json").write_text("{")
    (tmp_path / "2026-09-23T21-00-00Z.json").write_text('{"schema": 0, "verdict": "passed"}')
    assert len(history.load(tmp_path)) == history.MOST - 2


def test_an_interrupted_run_is_not_kept_in_the_history(tmp_path: Path) -> None:
    write(records.interrupted(), tmp_path)
    assert history.load(tmp_path / "history") == []
    write(records.failed(), tmp_path)
    assert [one["verdict"] for one in history.load(tmp_path / "history")] == ["failed"]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
