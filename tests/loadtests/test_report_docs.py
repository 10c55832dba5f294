from __future__ import annotations

import json
import re

from kindling.paths import REPOSITORY
from loadtests.report.record import EXIT_CODES

PAGE = (REPOSITORY / "docs" / "load-test.md").read_text()
SCHEMA = json.loads((REPOSITORY / "loadtests" / "report" / "schema.json").read_text())


def test_every_key_of_the_report_is_described() -> None:
    described = set(re.findall(r"`(\w+)`", PAGE.split("### report.json")[1]))
    assert set(SCHEMA["properties"]) <= described
    for part in ("generator", "series"):
        left_out = {"deployment"}
        assert set(SCHEMA["properties"][part]["properties"]) <= described | left_out


def test_every_verdict_is_described_with_its_exit_code() -> None:
    for verdict, code in EXIT_CODES.items():
        assert f"| `{verdict}` | {code} |" in PAGE
    assert set(EXIT_CODES) == set(SCHEMA["properties"]["verdict"]["enum"])
    assert sorted(EXIT_CODES.values()) == SCHEMA["properties"]["exit_code"]["enum"]
