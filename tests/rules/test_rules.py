from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import mutate
import pytest

from kindling import paths

RUNBOOKS = paths.REPOSITORY / "docs/runbooks"
FILES = sorted(mutate.RULES.glob("*.yml"))
TESTS = sorted(mutate.HERE.glob("*.test.yml"))
RULES = mutate.load()
ALERTS = [rule for rule in RULES if "alert" in rule]
IDS = [name for index, name in mutate.tests_of(RULES).items() if "alert" in RULES[index]]
NAMES = sorted({rule["alert"] for rule in ALERTS})
SEVERITIES = ("critical", "warning", "info", "none")


def run(*words: str | Path) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_valid_and_free_of_lint(promtool: Path) -> None:
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", *FILES)


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name.removesuffix(".test.yml"))
def test_alerts_fire_when_they_should_and_only_then(file: Path, promtool: Path) -> None:
    run(promtool, "test", "rules", file)


def test_every_alert_and_every_record_of_no_alert_has_its_promtool_test() -> None:
    assert {f"{name}.test.yml" for name in mutate.tests_of(RULES).values()} == {
        file.name for file in TESTS if file.name != "idle.test.yml"
    }


@pytest.mark.parametrize("rule", ALERTS, ids=IDS)
def test_an_alert_says_how_bad_what_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert re.fullmatch("([A-Z][a-z]+)+", rule["alert"])
    assert rule["labels"]["severity"] in SEVERITIES
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
    assert "\n" not in rule["annotations"]["summary"]
    for text in (rule["annotations"]["summary"], rule["annotations"]["description"]):
        # Prometheus knows only the labels of the expression there: these would be empty.
        assert not re.findall(rf"\$labels\.({'|'.join(rule['labels'])})\b", text)


def test_a_recording_rule_is_named_by_level_metric_and_operation() -> None:
    names = [rule["record"] for rule in RULES if "record" in rule]
    assert names
    for name in names:
        assert re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", name), name


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    pages = {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_has_the_same_parts_as_the_others(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert re.findall("^## (.*)", page, re.MULTILINE) == [
        "What it means", "What users see", "Look", "Do", "When it clears",
    ]  # fmt: skip


def test_the_queries_that_runbooks_tell_to_paste_are_valid(promtool: Path, tmp_path: Path) -> None:
    queries = [
        query.strip()
        for page in sorted(RUNBOOKS.glob("*.md"))
        for block in re.findall(r"In Prometheus:\n\n((?: {4}.+\n)+)", page.read_text())
        for query in block.splitlines()
    ]
    assert len(queries) > len(NAMES)
    rules = [{"record": f"query:{n}:x", "expr": query} for n, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    run(promtool, "check", "rules", file)


def test_the_dashboards_that_runbooks_name_are_there() -> None:
    boards = (paths.REPOSITORY / "charts/grafana/dashboards").glob("*.json")
    titles = {json.loads(board.read_text())["title"] for board in boards}
    named = {
        title
        for page in RUNBOOKS.glob("*.md")
        for line in page.read_text().splitlines()
        if "Dashboard: " in line
        for title in re.findall(r'"([A-Z][^"]+)"', line)
    }
    assert named
    assert named <= titles


def test_the_index_of_the_runbooks_lists_every_alert_with_its_severity() -> None:
    rows = re.findall(
        r"^\| \[(\w+)\]\((\w+)\.md\) \| ([a-z, ]+) \| [^|]+ \|$",
        (RUNBOOKS / "README.md").read_text(),
        re.MULTILINE,
    )
    assert [name for name, _, _ in rows] == [page for _, page, _ in rows]
    assert sorted(name for name, _, _ in rows) == NAMES
    for name, _, severities in rows:
        rules = (rule for rule in ALERTS if rule["alert"] == name)
        assert set(severities.split(", ")) == {rule["labels"]["severity"] for rule in rules}


def test_no_altered_number_window_or_comparison_goes_unnoticed(promtool: Path) -> None:
    whole = list(mutate.unmutated(RULES))
    assert mutate.surviving(promtool, whole) == whole
    alive = mutate.surviving(promtool, list(mutate.mutants(RULES)))
    assert not [f"{mutant.rule}: {mutant.change}" for mutant in alive]
