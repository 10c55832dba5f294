from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import report_records as records

from loadtests.checks import RUN, Check, Status
from loadtests.report import exit_code, summary

ALL = [records.passed, records.failed, records.invalid, records.interrupted, records.empty]


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (records.passed, 0),
        (records.failed, 1),
        (records.invalid, 3),
        (records.interrupted, 130),
        (records.empty, 3),
    ],
)
def test_exit_codes(made: Any, code: int) -> None:
    assert exit_code(made()) == code


def test_what_fails_and_leaves_others_untold_has_failed() -> None:
    def check(scenario: str, status: Status) -> Check:
        return Check(scenario, f"one of {scenario}", "so", f"not so in {scenario}", "", status)

    def ended(*checks: Check) -> tuple[int, str]:
        record = dataclasses.replace(records.passed(), checks=list(checks))
        return exit_code(record), summary(record, folder=Path("report"))

    failed, untold = check("scale", "failed"), check("scale", "invalid")
    code, text = ended(untold, failed, check(RUN, "passed"))
    assert code == 1
    assert "“one of scale” of scale failed" in " ".join(text.split())
    assert ended(untold, check(RUN, "passed"))[0] == 3
    code, text = ended(untold, failed, check(RUN, "invalid"))
    assert code == 3
    assert "could not tell about “one of run” of run" in " ".join(text.split())


def test_only_skipped_checks_are_no_pass() -> None:
    skipped = Check("a", "b", "c", "", "", "skipped", "no GPU here")
    assert exit_code(dataclasses.replace(records.empty(), checks=[skipped])) == 3


@pytest.mark.parametrize("width", [80, 97, 140])
@pytest.mark.parametrize("made", ALL)
def test_it_fits_and_cuts_no_word(made: Any, width: int) -> None:
    record = made()
    text = summary(record, width=width, color=False)
    assert max(len(line) for line in text.splitlines()) <= width
    words = set(text.split())
    for check in record.checks:
        for part in (check.scenario, check.name, check.expected, check.observed, check.status):
            assert set(part.split()) <= words


def test_words_too_long_for_a_table_are_stacked_and_stay_whole() -> None:
    long = "serving-7d9f8b6c5-x2x9k.kindling.svc.cluster.local"
    check = Check("scale-out", f"{long} is ready", f"{long} within 9 s", f"{long} after 8 s",
                  "9 s", "passed")  # fmt: skip
    record = dataclasses.replace(records.passed(), checks=[check])
    text = summary(record, width=80, color=False)
    assert text.count(long) == 3
    assert max(len(line) for line in text.splitlines()) <= 80


def test_a_path_longer_than_the_terminal_can_still_be_copied() -> None:
    path = "/home/somebody/" + "a-long-folder/" * 8 + "timeline.jsonl"
    check = Check("a", "b", "c", "d", "e", "failed", f"what is in {path}")
    record = dataclasses.replace(records.passed(), checks=[check])
    assert path in summary(record, width=80).split()


def test_a_width_beyond_the_bounds_is_brought_within_them() -> None:
    assert summary(records.failed(), width=20) == summary(records.failed(), width=80)
    assert summary(records.failed(), width=500) == summary(records.failed(), width=140)


def test_a_number_and_its_unit_stay_together() -> None:
    for width in (80, 101, 120):
        lines = summary(records.passed(), width=width, color=False).splitlines()
        table = lines[1 : lines.index("")]
        assert not [line for line in table if line.split() and line.split()[0] in ("s", "ms")]
        assert "\u00a0" not in "".join(lines)


def test_what_failed_comes_first_with_its_hint_and_the_report_last() -> None:
    text = summary(records.failed(), width=120, color=False, folder=Path("report"))
    first, *_, last = text.splitlines()
    assert first == "FAILED  scale-out: pods are added"
    assert "look at   docs/runbooks/AutoscalerCannotScale.md" in text
    assert text.index("look at") < text.index("scenario ")
    assert "\nFAILED: 6 of 8 assertions held, 1 skipped; “pods are added”" in text
    assert last == "Report: report/index.html"


@pytest.mark.parametrize("width", [80, 120])
def test_endpoints_and_errors_are_listed(width: int) -> None:
    lines = summary(records.failed(), width=width, color=False).splitlines()
    head = next(n for n, line in enumerate(lines) if line.startswith("endpoint "))
    assert [line.split()[0] for line in lines[head + 1 : head + 4]] == ["chat", "predict", "all"]
    assert lines[head].split()[:7] == [
        "endpoint", "requests", "failed", "wrong", "requests/s", "p50", "p95",
    ]  # fmt: skip
    assert [line for line in lines if "failed at predict: reset, first after 6:52" in line]
    whole = next(line for line in lines if line.startswith("The whole run of 11 min 05 s: "))
    assert "15,490 requests, 434 failed" in whole


def test_the_reason_of_what_was_skipped_is_in_the_table() -> None:
    assert "this cluster has no pool with GPUs" in summary(records.passed(), width=140)


def test_colour_only_on_a_terminal() -> None:
    assert "\x1b" not in summary(records.failed(), width=100)
    plain = summary(records.failed(), width=100, color=False)
    colored = summary(records.failed(), width=100, color=True)
    assert "\x1b[1;31mfailed\x1b[0m" in colored
    assert "\x1b" not in plain
    for code in ("\x1b[1;31m", "\x1b[1;33m", "\x1b[32m", "\x1b[2m", "\x1b[0m"):
        colored = colored.replace(code, "")
    assert colored == plain


def test_control_characters_of_a_check_do_not_reach_the_terminal() -> None:
    odd = Check("a", "b\x1b[2Jc", "d", "e\x07f", "", "failed", "g\x9bh")
    record = dataclasses.replace(records.passed(), checks=[odd])
    text = summary(record, width=100, color=False)
    assert not [c for c in text if c != "\n" and not c.isprintable()]
