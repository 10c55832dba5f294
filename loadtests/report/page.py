"""index.html: one page without anything from elsewhere, readable without its script."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from loadtests.report import marks, strips, trend, verdicts, words
from loadtests.report.document import Document
from loadtests.report.panels import panels
from loadtests.report.plot import Panel
from loadtests.report.record import on_purpose

_HERE = Path(__file__).parent
_HOUR = 3600
_SHORTENED = "shortened"
_MARKS = {"passed": "✓", "failed": "✕", "invalid": "?", "interrupted": "■", "skipped": "–"}  # noqa: RUF001


def render(report: Document, earlier: Sequence[Document] = ()) -> str:
    """The page of ``report``, with what became of ``earlier`` runs."""
    charts, on = panels(report), strips.axis(report)
    placed, runs = marks.marks(report, on), [*earlier, report]
    environment = dict(report["environment"])
    return _template().render(
        report=report,
        words=words,
        marks_of=_MARKS,
        style=_own("page.css"),
        script=_own("page.js"),
        tested=verdicts.tested(report),
        ended=verdicts.ended(report),
        checks=verdicts.checks(report),
        panels=charts,
        pictures={p.key: p.svg(strips.behind(report, on, p.height)) for p in charts if p.drawn},
        ticks=strips.ticks(on),
        scenario_strip=strips.scenarios(report, on),
        stage_strip=strips.stages(report, on),
        mark_layouts=placed,
        target=_target,
        errors=_errors(report),
        on_purpose=on_purpose(report),
        alert_rows=strips.alert_rows(report, on),
        lost_rows=strips.lost_rows(report, on),
        alert_picture=strips.behind(report, on, 42),
        clock_unit="h:min:s" if report["series"]["length"] * on.step >= _HOUR else "min:s",
        events=marks.numbered(report),
        generator=_generator(report),
        generator_told=report["generator"]["cpu_max"] is not None,
        shortened=environment.pop(_SHORTENED, {}),
        environment=environment,
        run_verdicts=trend.verdicts(runs),
        smalls=trend.small(report, runs),
        small_names=trend.NAMES,
        earlier=len(earlier),
        data=_data(report, charts),
    )


@functools.cache
def _template() -> jinja2.Template:
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    pages.filters |= {"glued": words.glued, "breakable": _breakable}
    return pages.get_template("page.html.j2")


def _own(name: str) -> Markup:
    return Markup((_HERE / name).read_text())  # noqa: S704  (ours, no data in it)


def _breakable(text: str) -> Markup:
    """Paths may be broken where they have a slash."""
    return Markup("/<wbr>").join(words.glued(text).split("/"))


def _data(report: Document, charts: Sequence[Panel]) -> Markup:
    """For the script. Nothing in it can end the element that it stands in."""
    series = report["series"]
    found: dict[str, Any] = {
        "step": series["step"], "length": series["length"],
        "panels": {panel.key: panel.values() for panel in charts if panel.drawn},
    }  # fmt: skip
    text = json.dumps(found, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  (no markup is left in it)


def _target(report: Document, scenario: Document) -> str:
    """What the stages of a scenario were to put on the service: requests/s, or users."""
    begin, end = scenario["begin"], scenario["end"]
    stages = [one for one in report["stages"] if begin <= one["begin"] < end]
    rates = [one["rate"] for one in stages if one["rate"] is not None]
    users = [one["users"] for one in stages if one["rate"] is None and one["users"] is not None]
    parts = [f"{_range(rates)}/s"] if rates else []
    parts += [f"{_range(users)} users"] if users else []
    return ", ".join(parts) or words.DASH


def _range(values: Sequence[float]) -> str:
    low, high = words.amount(min(values)), words.amount(max(values))
    return low if low == high else f"{low} to {high}"


def _errors(report: Document) -> list[Document]:
    """The errors, each with the scenario in which its kind was first seen."""
    return [
        {**row, "scenario": next(
            (s["name"] for s in reversed(report["scenarios"]) if s["begin"] <= row["first"]), ""
        )}
        for row in report["errors"]
    ]  # fmt: skip


def _generator(report: Document) -> list[tuple[str, str]]:
    """How the generator itself fared: whether it could have sent what it was to send."""
    found = report["generator"]
    share, behind, cpu = found["sent_share"], found["behind_max"], found["cpu_max"]
    rows = [
        ("sent of what was due", words.DASH if share is None else f"{share * 100:.1f} %"),
        ("furthest behind its schedule", words.duration(behind)),
        ("CPU of its busiest process", words.DASH if cpu is None else
         f"{cpu * 100:.0f} % of a core at most, {found['cpu_mean'] * 100:.0f} % on average"),
    ]  # fmt: skip
    rows = [(name, text) for name, text in rows if not text.startswith(words.DASH)]
    about = [(words.key(name), words.value(value)) for name, value in found["about"].items()]
    return [*rows, *about]
