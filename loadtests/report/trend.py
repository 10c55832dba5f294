"""Small pictures of how numbers went from run to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from loadtests.report import words
from loadtests.report.document import Document

_HEIGHT = 40.0
_PAD = 5.0


@dataclass(frozen=True)
class Small:
    """One number of one scenario over the runs; ``why`` says what there is too little of."""

    scenario: str
    name: str
    now: str
    span: str
    picture: Markup
    why: str = ""


def verdicts(runs: Sequence[Document]) -> list[tuple[str, str]]:
    """The verdict of each run, oldest first, and when it was."""
    return [(run["verdict"], f"{words.moment(run['started'])}: {run['verdict']}") for run in runs]


def small(report: Document, runs: Sequence[Document]) -> list[Small]:
    """For each scenario of ``report``: p95, requests/s, and how long scaling out took."""
    found = []
    for scenario in report["scenarios"]:
        name = scenario["name"]
        for title, get, written in _NUMBERS:
            values = [_of(run, name, get) for run in runs]
            known = [value for value in values if value is not None]
            # A number that this scenario never has, such as scaling out, needs no picture.
            if known:
                found.append(_small(name, title, values, known, written))
    return found


def _p95(scenario: Document) -> Any:
    return scenario["latency"]["p95"]


def _rate(scenario: Document) -> Any:
    return scenario["requests_per_second"]


def _scale_out(scenario: Document) -> Any:
    return scenario["numbers"].get("scale_out_seconds")


_NUMBERS: tuple[tuple[str, Callable[[Document], Any], Callable[[float | None], str]], ...] = (
    ("p95", _p95, words.duration),
    ("requests/s", _rate, words.amount),
    ("scale-out", _scale_out, words.duration),
)


def _of(run: Document, name: str, get: Callable[[Document], Any]) -> float | None:
    for scenario in run["scenarios"]:
        if scenario["name"] == name:
            found = get(scenario)
            return None if found is None else float(found)
    return None


def _small(
    scenario: str,
    title: str,
    values: Sequence[float | None],
    known: Sequence[float],
    written: Callable[[float | None], str],
) -> Small:
    low, high = min(known), max(known)
    span = f"{written(low)} to {written(high)} in {words.count(len(known), 'run')}"
    if len(known) < 2:
        why = "nothing to compare with yet"
        return Small(scenario, title, written(values[-1]), "", Markup(), why)
    # From zero, so that a small change looks small.
    top = high or 1.0
    points, begun = [], False
    for n, value in enumerate(values):
        if value is None:
            begun = False
            continue
        y = _PAD + (_HEIGHT - 2 * _PAD) * (1 - value / top)
        points.append((n + 0.5, y, "L" if begun else "M"))
        begun = True
    line = "".join(f"{word}{x} {y:.2f}" for x, y, word in points)
    dots = "".join(f"M{x} {y:.2f}h0" for x, y, _ in points[:-1])
    x, y, _ = points[-1]
    picture = Markup(
        '<svg viewBox="0 0 {w} {h}" height="{h}" preserveAspectRatio="none" role="img" '
        'aria-label="{title}: {span}"><path class="grid" d="M0 {base}H{w}"/>'
        '<path class="line s1 thin" d="{line}"/><path class="dots" d="{dots}"/>'
        '<path class="dot" d="M{x} {y:.2f}h0"/></svg>'
    ).format(
        w=len(values), h=int(_HEIGHT), title=title, span=span, base=_HEIGHT - _PAD, line=line,
        dots=dots, x=x, y=y,
    )  # fmt: skip
    return Small(scenario, title, written(values[-1]), span, picture)
