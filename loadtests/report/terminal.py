"""The report on a terminal: what failed, a table, where the rest is."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from loadtests.report import verdicts, words
from loadtests.report.document import Document, document
from loadtests.report.record import Record, on_purpose

_COLUMNS = ("scenario", "assertion", "expected", "observed", "bound", "verdict")
_KEYS = ("scenario", "name", "expected", "observed", "bound", "status")
_ENDPOINTS = ("endpoint", "requests", "failed", "wrong", "requests/s", "p50", "p95", "p99", "max")
_NARROW, _WIDE = 80, 140
_GAP = "  "
_SHORT = 12
_STYLES = {"passed": "32", "failed": "1;31", "invalid": "1;33", "interrupted": "1;33",
           "skipped": "2"}  # fmt: skip


def summary(
    record: Record,
    *,
    folder: Path = Path("report"),
    width: int | None = None,
    color: bool | None = None,
) -> str:
    """What failed with its hint, tables of assertions, endpoints and errors, and the verdict.

    Without ``width`` that of the terminal, within 80 and 140; without ``color`` only on one.
    """
    columns = width or shutil.get_terminal_size((120, 24)).columns
    text = _Text(min(max(columns, _NARROW), _WIDE), sys.stdout.isatty() if color is None else color)
    report = document(record)
    report["checks"] = [
        {key: words.printable(found) for key, found in check.items()} for check in report["checks"]
    ]
    lines = []
    for check in verdicts.checks(report):
        if check["status"] in ("failed", "invalid"):
            lines += text.explained(check)
    lines += [*text.table([_row(check) for check in report["checks"]]), ""]
    lines += [*text.endpoints(report), *text.errors(report)]
    lines += text.closing(report, folder)
    return "\n".join(line.rstrip() for line in lines)


def _row(check: dict[str, str]) -> list[str]:
    # Of one that was skipped, why is all there is to say.
    seen = check["observed"] or (check["hint"] if check["status"] == "skipped" else "")
    return [seen if key == "observed" else check[key] for key in _KEYS]


def _statistics(row: Document) -> tuple[str, ...]:
    counts = [f"{row[key]:,}" for key in ("requests", "failed", "wrong")]
    latencies = [words.latency(row, key) for key in ("p50", "p95", "p99", "max")]
    rate = words.amount(row["requests_per_second"])
    return words.printable(str(row["endpoint"])), *counts, rate, *latencies


class _Text:
    def __init__(self, width: int, color: bool) -> None:
        self._width, self._color = width, color

    def explained(self, check: dict[str, str]) -> list[str]:
        head = f"{check['status'].upper()}  {check['scenario']}: {check['name']}"
        lines = [self._styled(line, check["status"]) for line in self._wrapped(head, 0, 4)]
        for name, key in (("expected", "expected"), ("observed", "observed"), ("bound", "bound"),
                          ("look at", "hint")):  # fmt: skip
            if check[key]:
                lines += self._wrapped(f"  {name:<9} {check[key]}", 0, 12)
        return [*lines, ""]

    def table(self, rows: Sequence[Sequence[str]]) -> list[str]:
        if not rows:
            return ["No assertion was made."]
        widths = self._widths([_COLUMNS, *rows])
        if widths is None:
            return self._stacked(rows)
        lines = self._row(_COLUMNS, widths)
        for row in rows:
            lines += self._row(row, widths, row[-1])
        return lines

    def endpoints(self, report: Document) -> list[str]:
        """Each endpoint over the whole run, without the last columns where they do not fit."""
        found = report["endpoints"]
        if not found:
            return []
        if len(found) > 1:
            found = [*found, {"endpoint": "all", **report["totals"]}]
        rows = [_ENDPOINTS, *(_statistics(row) for row in found)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        while len(widths) > 1 and sum(widths) + len(_GAP) * (len(widths) - 1) > self._width:
            widths.pop()
        return [
            *(
                _GAP.join(
                    cell.rjust(width) if n else cell.ljust(width)
                    for n, (cell, width) in enumerate(zip(row, widths, strict=False))
                )
                for row in rows
            ),
            "",
        ]

    def errors(self, report: Document) -> list[str]:
        """Each kind of error, how often, and when first."""
        lines = []
        for row in report["errors"]:
            first = words.clock(row["first"] - report["started"])
            text = f"{row['count']:,} {row['outcome']} at {row['endpoint']}: {row['kind']}"
            lines += self._wrapped(words.printable(f"{text}, first after {first}"), 0, 4)
        return [*lines, ""] if lines else []

    def closing(self, report: Document, folder: Path) -> list[str]:
        totals, verdict = report["totals"], report["verdict"]
        head = f"{verdict.upper()}: {verdicts.ended(report)}"
        lines = [self._styled(line, verdict) for line in self._wrapped(head, 0, 2)]
        if totals["requests"]:
            p95, meant = totals["latency"]["p95"], on_purpose(report)
            parts = [
                words.count(totals["requests"], "request"),
                f"{totals['failed']:,} failed" + (f" ({meant:,} on purpose)" if meant else ""),
                f"{totals['wrong']:,} wrong",
                # Where one in twenty failed on purpose there is none to tell.
                *([] if p95 is None else [f"p95 {words.duration(p95)}"]),
            ]
            run = words.duration(report["ended"] - report["started"])
            lines += self._wrapped(f"The whole run of {run}: {', '.join(parts)}", 0, 2)
        return [*lines, f"Report: {folder / 'index.html'}"]

    def _widths(self, rows: Sequence[Sequence[str]]) -> list[int] | None:
        """Widths that cut no word, or ``None`` where six columns of such words are too wide."""
        columns = list(zip(*rows, strict=True))
        least = [max(len(word) for cell in column for word in _words(cell)) for column in columns]
        most = [max(len(cell) for cell in column) for column in columns]
        left = self._width - len(_GAP) * (len(columns) - 1) - sum(least)
        if left < 0:
            return None
        widths = least
        for i in sorted(range(len(widths)), key=lambda n: most[n]):
            # A short column gets all that it would like; the long ones share what is left.
            if most[i] <= _SHORT and most[i] - widths[i] <= left:
                left -= most[i] - widths[i]
                widths[i] = most[i]
        while left and any(w < m for w, m in zip(widths, most, strict=True)):
            i = max(range(len(widths)), key=lambda n: most[n] / widths[n] if widths[n] else 0)
            widths[i] += 1
            left -= 1
        return widths

    def _row(self, cells: Sequence[str], widths: Sequence[int], status: str = "") -> list[str]:
        folded = [_fold(cell, width) for cell, width in zip(cells, widths, strict=True)]
        lines = []
        for n in range(max(len(cell) for cell in folded)):
            parts = [
                (cell[n] if n < len(cell) else "").ljust(width)
                for cell, width in zip(folded, widths, strict=True)
            ]
            if status:
                parts[-1] = self._styled(parts[-1].rstrip(), status)
            lines.append(_GAP.join(parts).rstrip())
        return lines

    def _stacked(self, rows: Sequence[Sequence[str]]) -> list[str]:
        lines = []
        for scenario, name, *values, status in rows:
            head = self._wrapped(f"{status:<8} {scenario}: {name}", 0, 9)
            lines += [self._styled(line, status) for line in head]
            for column, text in zip(_COLUMNS[2:5], values, strict=True):
                if text:
                    lines += self._wrapped(f"{column:<9} {text}", 9, 19)
        return lines

    def _wrapped(self, text: str, indent: int, hanging: int) -> list[str]:
        return textwrap.wrap(
            text, self._width, initial_indent=" " * indent, subsequent_indent=" " * hanging,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip

    def _styled(self, text: str, status: str) -> str:
        return f"\x1b[{_STYLES[status]}m{text}\x1b[0m" if self._color and text else text


def _words(text: str) -> list[str]:
    return re.split(r"[ \t\n]+", words.glued(text))


def _fold(text: str, width: int) -> list[str]:
    lines = textwrap.wrap(
        words.glued(text), width, break_long_words=False, break_on_hyphens=False
    )  # fmt: skip
    return [line.replace("\u00a0", " ") for line in lines] or [""]
