"""How doctor runs its checks and what it prints."""

from __future__ import annotations

import json
import time
from io import StringIO
from pathlib import Path

import pytest
from doctor_fakes import make_context, versions
from rich.console import Console

from kindling import doctor
from kindling.doctor.check import Check, fail, ok, warn
from kindling.doctor.context import Context
from kindling.doctor.machine import gather, run
from kindling.doctor.report import as_json

GOOD, ODD, BAD = ok("a", "fine"), warn("b", "so so", "mend"), fail("c", "[broken]", "repair")


def printed(checks: list[Check]) -> str:
    out = StringIO()
    Console(file=out, width=120).print(doctor.render(checks))
    return out.getvalue()


def test_every_check_is_a_row_with_symbol_word_and_fix() -> None:
    text = printed([GOOD, ODD, BAD])
    for words in ("✓ ok", "! warn", "✗ fail", "[broken]", "repair", "1 would stop cluster-up"):
        assert words in text


def test_a_machine_without_failures_is_told_to_go_on() -> None:
    assert "next: nox -s cluster-up" in printed([GOOD, ODD])


def test_the_json_has_its_documented_keys() -> None:
    content = json.loads(as_json([GOOD, BAD]))
    assert set(content) == {"version", "ok", "checks"}
    assert (content["version"], content["ok"]) == (1, False)
    assert content["checks"][1] == {
        "name": "c", "status": "fail", "found": "[broken]", "fix": "repair",
    }  # fmt: skip


def test_a_check_that_hangs_or_raises_becomes_a_warning(tmp_path: Path) -> None:
    def slow(_: Context) -> Check:
        time.sleep(5)
        return GOOD

    def raising(_: Context) -> Check:
        raise ValueError("odd")

    context = make_context(tmp_path)
    started = time.monotonic()
    checks = doctor.run_checks(
        context.settings,
        context.machine,
        versions(),
        {"slow": slow, "raising": raising, "good": lambda _: GOOD},
        seconds=0.2,
    )
    assert time.monotonic() - started < 2
    assert [check.status for check in checks] == ["warn", "warn", "ok"]
    assert "odd" in checks[1].found


def test_all_checks_of_a_healthy_machine_pass(tmp_path: Path) -> None:
    context = make_context(tmp_path)
    checks = doctor.run_checks(context.settings, context.machine, versions())
    assert doctor.passes(checks)
    assert len({check.name for check in checks}) == len(checks) >= 20


def test_the_critical_checks_are_few_and_ask_nobody_outside(tmp_path: Path) -> None:
    def outside(*_: object, **__: object) -> bool:
        raise AssertionError

    context = make_context(tmp_path, ask=outside, registry_answers=outside)
    checks = doctor.critical(context.settings, context.machine)
    assert [check.name for check in checks] == ["platform", "rights", "disk", "memory", "cluster"]
    assert {check.status for check in checks} == {"ok"}


def test_a_broken_inventory_is_a_failed_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--json", "--set", "cluster_nam=x"]) == 1
    (check,) = json.loads(capsys.readouterr().out)["checks"]
    assert check["status"] == "fail"
    assert "cluster_name" in check["found"]


def test_programs_are_bounded_and_may_be_missing() -> None:
    assert run(["sleep", "5"], seconds=0.1).code is None
    assert run(["/no/such/program"]).code is None


def test_gather_marks_what_is_late_and_keeps_what_raised() -> None:
    def raising() -> int:
        raise ValueError

    found = gather({"late": lambda: time.sleep(5) or 1, "raising": raising, "one": lambda: 1}, 0.2)
    assert found["late"] is None
    assert isinstance(found["raising"], ValueError)
    assert found["one"] == 1
