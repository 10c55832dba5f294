"""Numbered marks under the charts, in lanes so that none lies on another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loadtests.report import words
from loadtests.report.document import Document
from loadtests.report.strips import CHARACTER, LAYOUTS, Axis

_BADGE = 22.0
_GAP = 2.0
# Labels that would need more lanes stand in a line below.
_MAX_LANES = {"wide": 5, "narrow": 8, "phone": 0}


@dataclass(frozen=True)
class Mark:
    """A numbered event in one layout; without its label where there is no room for it."""

    number: int
    text: str
    left: float
    lane: int
    flipped: bool
    labelled: bool
    hint: str

    @property
    def width(self) -> float:
        """Pixels, from the outer edge of the number to the end of the label."""
        return _width(self.text) if self.labelled else _BADGE


@dataclass(frozen=True)
class Lanes:
    """The marks of one layout."""

    layout: str
    marks: list[Mark]

    @property
    def count(self) -> int:
        return max((mark.lane for mark in self.marks), default=-1) + 1

    @property
    def unlabelled(self) -> list[Mark]:
        return [mark for mark in self.marks if not mark.labelled]


def marks(report: Document, on: Axis) -> list[Lanes]:
    """The events to mark, placed in each layout."""
    events = [event for event in report["events"] if event["marked"]]
    return [
        Lanes(layout, _placed(events, on, room, _MAX_LANES[layout]))
        for layout, room in LAYOUTS.items()
        if events
    ]


def numbered(report: Document) -> list[dict[str, Any]]:
    """The events, each with its mark's number or ``None``."""
    number, found = 0, []
    for event in report["events"]:
        number += bool(event["marked"])
        found.append({**event, "number": number if event["marked"] else None})
    return found


def _placed(events: list[dict[str, Any]], on: Axis, room: float, most: int) -> list[Mark]:
    rows = _Rows(room)
    found = []
    for number, event in enumerate(events, 1):
        left, text = on.percent(event["time"]), event["label"]
        needed = _width(text)
        # Near the right end the text goes to the left of its mark.
        flipped = left / 100 * room + needed > room
        lane = rows.place(left, needed, flipped, most)
        labelled = lane is not None
        if lane is None:
            lane = rows.place(left, _BADGE, False, len(events)) or 0
        hint = f"{words.clock(event['time'] - on.start)}  {event['text']}"
        found.append(Mark(number, text, left, lane, flipped and labelled, labelled, hint))
    return found


def _width(text: str) -> float:
    return _BADGE + len(text) * CHARACTER + 6


class _Rows:
    """Rows of intervals that do not touch each other."""

    def __init__(self, room: float) -> None:
        self._room = room
        self._rows: list[list[tuple[float, float]]] = []

    def place(self, percent: float, width: float, flipped: bool, most: int) -> int | None:
        at = percent / 100 * self._room
        half = _BADGE / 2
        a, b = (at + half - width, at + half) if flipped else (at - half, at - half + width)
        if width > _BADGE and a < -half:
            return None
        for n, row in enumerate(self._rows[:most]):
            if all(b + _GAP <= left or a >= right + _GAP for left, right in row):
                row.append((a, b))
                return n
        if len(self._rows) >= most:
            return None
        self._rows.append([(a, b)])
        return len(self._rows) - 1
