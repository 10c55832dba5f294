"""What changed from one report to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from loadtests.report import words
from loadtests.report.document import Document, read

# Within this, two runs of the same thing differ anyway.
_SAME = 0.05


def compare(a: Path, b: Path) -> str:
    """Environment, checks and key numbers of two reports: ``a`` is the one before.

    Each is a report's folder or its report.json. Raises KindlingError for what is neither.
    """
    before, after = read(a), read(b)
    lines = [
        f"a  {a}  {words.moment(before['started'])}  {before['verdict']}",
        f"b  {b}  {words.moment(after['started'])}  {after['verdict']}",
    ]
    for title, found in (
        ("Environment", list(_environment(before, after))),
        ("Checks", list(_checks(before, after))),
    ):
        lines += ["", f"{title}: {'as before' if not found else ''}".rstrip().rstrip(":"), *found]
    return "\n".join(words.printable(line) for line in [*lines, "", *_numbers(before, after)])


def _environment(before: Document, after: Document) -> Iterator[str]:
    old, new = (_flat(report["environment"]) for report in (before, after))
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            yield f"  {name}: {words.value(old[name])}, now not told"
        elif name not in old:
            yield f"  {name}: not told before, now {words.value(new[name])}"
        elif old[name] != new[name]:
            yield f"  {name}: {words.value(old[name])} -> {words.value(new[name])}"
    if before["slo_p95"] != after["slo_p95"]:
        old_slo, new_slo = (words.duration(report["slo_p95"]) for report in (before, after))
        yield f"  SLO of p95: {old_slo} -> {new_slo}"


def _flat(environment: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        f"{words.key(group)}, {words.key(name)}": value
        for group, facts in environment.items()
        for name, value in facts.items()
    }


def _checks(before: Document, after: Document) -> Iterator[str]:
    old, new = (
        {(check["scenario"], check["name"]): check for check in report["checks"]}
        for report in (before, after)
    )
    for key in dict.fromkeys([*old, *new]):
        name = ": ".join(key)
        if key not in new:
            yield f"  {name}: {old[key]['status']}, now not checked"
        elif key not in old:
            yield f"  {name}: not checked before, now {new[key]['status']}"
        elif old[key]["status"] != new[key]["status"]:
            seen = f"{old[key]['observed']} -> {new[key]['observed']}"
            yield f"  {name}: {old[key]['status']} -> {new[key]['status']} ({seen})"


def _numbers(before: Document, after: Document) -> list[str]:
    old, new = ({one["name"]: one for one in report["scenarios"]} for report in (before, after))
    rows = [("scenario", "number", "a", "b", "b / a", "")]
    for name in dict.fromkeys([*old, *new]):
        if name not in old or name not in new:
            only = ("", "only here") if name in new else ("only here", "")
            rows.append((name, "", *only, "", ""))
            continue
        known, now = _key_numbers(old[name]), _key_numbers(new[name])
        for number, (_, written) in {**known, **now}.items():
            a, b = (found.get(number, (None,))[0] for found in (known, now))
            rows.append((name, number, written(a), written(b), *_ratio(a, b)))
    if len(rows) == 1:
        return ["Numbers: neither report has a scenario"]
    widths = [max(len(row[n]) for row in rows) for n in range(6)]
    return ["Numbers"] + [
        "  " + "  ".join(
            cell.rjust(w) if n in (2, 3, 4) else cell.ljust(w)
            for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]  # fmt: skip


def _key_numbers(
    scenario: Document,
) -> dict[str, tuple[float | None, Callable[[float | None], str]]]:
    latency = scenario["latency"]
    found: dict[str, tuple[float | None, Callable[[float | None], str]]] = {
        "requests": (scenario["requests"], words.amount),
        "failed": (scenario["failed"], words.amount),
        "wrong": (scenario["wrong"], words.amount),
        "requests/s": (scenario["requests_per_second"], words.amount),
        **{name: (latency[name], _answer) for name in ("p50", "p95", "p99", "max")},
        "most ready pods": (scenario["replicas"]["max"], words.amount),
    }
    for name, value in scenario["numbers"].items():
        written = words.duration if name.endswith("_seconds") else words.amount
        found[words.named(name)] = (value, written)
    return {name: pair for name, pair in found.items() if pair[0] is not None}


def _answer(seconds: float | None) -> str:
    # What failed was never answered, so a percentile may be of no answer.
    return "no answer" if seconds is None else words.duration(seconds)


def _ratio(a: float | None, b: float | None) -> tuple[str, str]:
    if a is None or b is None or not a:
        return "", "" if a == b else "changed"
    ratio = b / a
    if abs(ratio - 1) <= _SAME:
        return f"{ratio:.2f}", ""
    return f"{ratio:.2f}", "more" if ratio > 1 else "less"
