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
    """One number of one scenario over the runs: this run's, how it went, and the picture."""

    now: str
    note: str
    picture: Markup


def verdicts(runs: Sequence[Document]) -> list[tuple[str, str]]:
    """The verdict of each run, oldest first, and when it was."""
    return [(run["verdict"], f"{words.moment(run['started'])}: {run['verdict']}") for run in runs]


def small(report: Document, runs: Sequence[Document]) -> dict[str, list[Small]]:
    """For each scenario of ``report``, one of each of ``NAMES``."""
    return {
        scenario["name"]: [
            _small(title, [_of(run, scenario["name"], get) for run in runs], written)
            for title, get, written in _NUMBERS
        ]
        for scenario in report["scenarios"]
    }


def _p95(scenario: Document) -> Any:
    return scenario["latency"]["p95"]


def _rate(scenario: Document) -> Any:
    return scenario["requests_per_second"]


def _scale_out(scenario: Document) -> Any:
    return scenario["numbers"].get("scale_out_seconds")


_NUMBERS: tuple[tuple[str, Callable[[Document], Any], Callable[[float | None], str]], ...] = (
    ("p95 of the scenario", _p95, words.duration),
    ("requests/s of the scenario", _rate, words.amount),
    ("time to scale out", _scale_out, words.duration),
)
NAMES = [name for name, _, _ in _NUMBERS]


def _of(run: Document, name: str, get: Callable[[Document], Any]) -> float | None:
    for scenario in run["scenarios"]:
        if scenario["name"] == name:
            found = get(scenario)
            return None if found is None else float(found)
    return None


def _small(
    title: str, values: Sequence[float | None], written: Callable[[float | None], str]
) -> Small:
    known = [value for value in values if value is not None]
    if not known:
        return Small("", "none in any run", Markup())
    low, high = written(min(known)), written(max(known))
    runs = words.count(len(known), "run")
    note = f"{low} to {high} in {runs}" if low != high else f"the same in all {runs}"
    now = "none now" if values[-1] is None else written(values[-1])
    if len(known) < 2:
        return Small(now, "nothing to compare with yet", Markup())
    return Small(now, note, _picture(title, note, values, max(known) or 1.0))


def _picture(title: str, note: str, values: Sequence[float | None], top: float) -> Markup:
    points, begun = [], False
    for n, value in enumerate(values):
        if value is None:
            begun = False
            continue
        # From zero, so that a small change looks small.
        y = _PAD + (_HEIGHT - 2 * _PAD) * (1 - value / top)
        points.append((n + 0.5, y, "L" if begun else "M"))
        begun = True
    line = "".join(f"{word}{x} {y:.2f}" for x, y, word in points)
    now = [] if values[-1] is None else points[-1:]
    dots = "".join(f"M{x} {y:.2f}h0" for x, y, _ in points[: len(points) - len(now)])
    dot = "".join(f"M{x} {y:.2f}h0" for x, y, _ in now)
    return Markup(
        '<svg viewBox="0 0 {w} {h}" height="{h}" preserveAspectRatio="none" role="img" '
        'aria-label="{title}: {note}"><path class="grid" d="M0 {base}H{w}"/>'
        '<path class="line s1 thin" d="{line}"/><path class="dots" d="{dots}"/>'
        '<path class="dot" d="{dot}"/></svg>'
    ).format(
        w=len(values), h=int(_HEIGHT), title=title, note=note, base=_HEIGHT - _PAD, line=line,
        dots=dots, dot=dot,
    )  # fmt: skip
