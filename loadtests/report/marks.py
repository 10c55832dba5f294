"""Numbered marks under the charts, in lanes so that none lies on another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loadtests.report import words
from loadtests.report.document import Document
from loadtests.report.strips import CHARACTER, NARROW, WIDE, Axis

_BADGE = 22.0
_MOST_LANES = 5


@dataclass(frozen=True)
class Mark:
    """A numbered event, in a lane of the wide page and in one of the narrow page."""

    number: int
    text: str
    left: float
    wide: int
    narrow: int
    flipped: bool
    labelled: bool
    hint: str


def marks(report: Document, on: Axis) -> list[Mark]:
    """The events to mark, none of whose labels lies on another's."""
    events = [event for event in report["events"] if event["marked"]]
    wide, narrow = _Lanes(WIDE), _Lanes(NARROW)
    found = []
    for number, event in enumerate(events, 1):
        left = on.percent(event["time"])
        text = event["label"]
        needed = _BADGE + len(text) * CHARACTER + 6
        # Near the right end the text goes to the left of its mark.
        flipped = left / 100 * WIDE + needed > WIDE
        lane = wide.place(left, needed, flipped, _MOST_LANES)
        labelled = lane is not None
        if lane is None:
            lane = wide.place(left, _BADGE, False, 99) or 0
        small = narrow.place(left, _BADGE, False, 99) or 0
        hint = f"{words.clock(event['time'] - on.start)}  {event['text']}"
        found.append(Mark(number, text, left, lane, small, flipped, labelled, hint))
    return found


def numbered(report: Document) -> list[dict[str, Any]]:
    """The events, each with its mark's number or ``None``."""
    number, found = 0, []
    for event in report["events"]:
        number += bool(event["marked"])
        found.append({**event, "number": number if event["marked"] else None})
    return found


class _Lanes:
    """Rows of intervals that do not touch each other."""

    def __init__(self, room: float) -> None:
        self._room = room
        self._rows: list[list[tuple[float, float]]] = []

    def place(self, percent: float, width: float, flipped: bool, most: int) -> int | None:
        at = percent / 100 * self._room
        half = _BADGE / 2
        a, b = (at + half - width, at + half) if flipped else (at - half, at - half + width)
        for n, row in enumerate(self._rows):
            if all(b + 2 <= left or a >= right + 2 for left, right in row):
                row.append((a, b))
                return n
        if len(self._rows) >= most:
            return None
        self._rows.append([(a, b)])
        return len(self._rows) - 1
