"""What stands above and below the charts on their time axis: scenarios, stages, alerts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from markupsafe import Markup

from loadtests.report import scales, words
from loadtests.report.document import Document

# Widths of the axis that the page is laid out for, in pixels: on a wide page, on a narrow one or
# paper, and on a telephone. What is placed by them is placed once for each; names as in page.css.
LAYOUTS = {"wide": 880.0, "narrow": 470.0, "phone": 170.0}
CHARACTER = 6.6
_MAX_TICKS = 14
_TICK_GAP = 16


@dataclass(frozen=True)
class Axis:
    """From a Unix time to a place: in cells of the series, and in per cent of the axis."""

    start: float
    step: int
    length: int

    def cell(self, time: float) -> float:
        return min(max((time - self.start) / self.step, 0.0), float(self.length))

    def percent(self, time: float) -> float:
        return round(100 * self.cell(time) / self.length, 3)


@dataclass(frozen=True)
class Segment:
    """A piece of a strip; ``fits`` names the layouts in which its text has room.

    ``number`` stands in for it in the others.
    """

    text: str
    left: float
    width: float
    fits: str = ""
    look: str = ""
    hint: str = ""
    number: int | None = None

    @property
    def numbered(self) -> str:
        """The layouts in which its number stands."""
        others = [name for name in LAYOUTS if name not in self.fits.split()]
        return " ".join(others) if self.number else ""


def axis(report: Document) -> Axis:
    series = report["series"]
    return Axis(series["start"], series["step"], series["length"])


def ticks(on: Axis) -> list[tuple[float, str, str]]:
    """Per cent, text, and in which layouts it is shown."""
    seconds = float(on.step * on.length)
    fits: dict[int, list[str]] = {}
    for layout, room in LAYOUTS.items():
        needed = len(words.clock(seconds)) * CHARACTER + _TICK_GAP
        most = max(1, min(_MAX_TICKS, int(room / needed)))
        for tick in scales.time_ticks(seconds, most):
            fits.setdefault(tick, []).append(layout)
    return [
        (round(100 * tick / seconds, 3), words.clock(tick), " ".join(layouts))
        for tick, layouts in sorted(fits.items())
    ]


def scenarios(report: Document, on: Axis) -> list[Segment]:
    """Where each scenario lies on the axis."""
    return [
        replace(
            _segment(on, one["name"], one["begin"], one["end"], f"{one['name']}: {one['title']}",
                     "odd" if n % 2 else "even"),
            number=n + 1,
        )
        for n, one in enumerate(report["scenarios"])
    ]  # fmt: skip


def stages(report: Document, on: Axis) -> list[Segment]:
    """Where each stage lies, with what it asked for."""
    found = []
    for one in report["stages"]:
        asked = ""
        if one["rate"] is not None:
            asked = f"{words.amount(one['rate'])}/s"
        elif one["users"] is not None:
            asked = words.count(int(one["users"]), "user")
        name = f"{one['name']} {asked}".strip()
        found.append(_segment(on, name, one["begin"], one["end"], name))
    return found


def _segment(
    on: Axis, text: str, begin: float, end: float, hint: str, look: str = ""
) -> Segment:  # fmt: skip
    left, width = on.percent(begin), round(on.percent(end) - on.percent(begin), 3)
    needed = len(text) * CHARACTER + 10
    fits = " ".join(name for name, room in LAYOUTS.items() if needed <= width / 100 * room)
    return Segment(text, left, width, fits, look, hint)


@dataclass(frozen=True)
class AlertRow:
    """An alert's life: intervals, and when notifications of it arrived."""

    name: str
    bars: list[Segment]
    arrived: list[tuple[float, str, str]]


def alert_rows(report: Document, on: Axis) -> list[AlertRow]:
    """A row for each alert that pended or fired, or was notified."""
    names = dict.fromkeys(one["name"] for one in [*report["alerts"], *report["notifications"]])
    rows = []
    for name in names:
        bars = [
            Segment(
                "", on.percent(a["begin"]),
                round(on.percent(a["end"]) - on.percent(a["begin"]), 3), "", a["state"],
                f"{name} {a['state']} from {words.clock(a['begin'] - on.start)} "
                f"for {words.duration(a['end'] - a['begin'])}",
            )
            for a in report["alerts"] if a["name"] == name
        ]  # fmt: skip
        arrived = [
            (on.percent(n["time"]), n["status"],
             f"notified as {n['status']} at {words.clock(n['time'] - on.start)}")
            for n in report["notifications"] if n["name"] == name
        ]  # fmt: skip
        rows.append(AlertRow(name, bars, arrived))
    return rows


def lost_rows(report: Document, on: Axis) -> list[AlertRow]:
    """A row for each observer that saw nothing for a time: silence there proves nothing."""
    names = dict.fromkeys(one["name"] for one in report["lost"])
    return [
        AlertRow(
            f"observer of {name} saw nothing",
            [_segment(on, "", one["begin"], one["end"], f"observer of {name}", "lost")
             for one in report["lost"] if one["name"] == name],
            [],
        )
        for name in names
    ]  # fmt: skip


def behind(report: Document, on: Axis, height: int) -> Markup:
    """Bands of scenarios, edges of stages and marks, to lie behind a chart's lines."""
    parts = []
    for n, one in enumerate(report["scenarios"]):
        a, b = on.cell(one["begin"]), on.cell(one["end"])
        look = "odd" if n % 2 else "even"
        parts.append(
            f'<rect class="band {look}" x="{a:.2f}" width="{b - a:.2f}" height="{height}"/>'
        )
    for one in report["stages"]:
        parts.append(f'<path class="edge" d="M{on.cell(one["begin"]):.2f} 0V{height}"/>')
    for event in report["events"]:
        if event["marked"]:
            parts.append(f'<path class="mark" d="M{on.cell(event["time"]):.2f} 0V{height}"/>')
    return Markup("".join(parts))  # noqa: S704  (numbers only)
