"""Checks as a table, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from kindling.doctor.check import Check
from kindling.table import table

_SYMBOLS = {
    "ok": ("✓", "green"),
    "warn": ("!", "yellow"),
    "fail": ("✗", "red"),
    "skip": ("-", "dim"),
}


def passes(checks: Sequence[Check]) -> bool:
    """Whether no check fails."""
    return all(check.status != "fail" for check in checks)


def render(checks: Sequence[Check]) -> RenderableType:
    """A table with a row per check, and a closing line that says what to do."""
    rows = []
    for check in checks:
        symbol, style = _SYMBOLS[check.status]
        rows.append((Text(f"{symbol} {check.status}", style), check.name, check.found, check.fix))
    counts = {status: sum(c.status == status for c in checks) for status in ("fail", "warn")}
    if counts["fail"]:
        end = f"{counts['fail']} would stop cluster-up: fix these first, then nox -s doctor"
    elif counts["warn"]:
        end = f"nothing stops cluster-up; {counts['warn']} to know about. next: nox -s cluster-up"
    else:
        end = "nothing stops cluster-up. next: nox -s cluster-up"
    return Group(table(("", "check", "found", "fix"), rows), Text(f"\n{end}"))


def as_json(checks: Sequence[Check]) -> str:
    """One JSON object.

    ``version`` (int, 1), ``ok`` (bool: no check fails) and ``checks``: a list of objects with
    ``name``, ``status`` (ok, warn, fail or skip), ``found`` and ``fix`` (may be empty), all text.
    """
    return json.dumps(
        {"version": 1, "ok": passes(checks), "checks": [vars(check) for check in checks]}, indent=2
    )
