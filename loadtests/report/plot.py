"""One panel of the page: an SVG that stretches, with its text beside it in HTML.

Lines are stretched to the page's width and text is not, so both stay legible on any width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from loadtests.report.scales import Scale
from loadtests.report.series import Column

_LABEL_PIXELS = 15
# Of a longer name there is no more than a beginning beside the chart.
_MAX_LABEL = 12
# More cells than pixels: lines of the usual width would run into one.
_DENSE = 1200


@dataclass(frozen=True)
class Line:
    """A series and how it is drawn: ``look`` is a class of the style sheet."""

    name: str
    values: Column
    look: str
    stepped: bool = False
    filled: bool = False
    labelled: bool = True


@dataclass(frozen=True)
class Limit:
    """A level that something is held against."""

    name: str
    value: float


@dataclass(frozen=True)
class Panel:
    """A chart over time, or ``why`` there is none."""

    key: str
    title: str
    note: str = ""
    lines: Sequence[Line] = ()
    limits: Sequence[Limit] = ()
    scale: Scale | None = None
    written: Callable[[float], str] = str
    height: int = 132
    why: str = ""
    # What the reader is shown under the pointer.
    read: Callable[[float], str] | None = field(default=None)

    @property
    def drawn(self) -> bool:
        return self.scale is not None and not self.why

    def ticks(self) -> list[tuple[str, str]]:
        """Where each tick is from the top, and its text."""
        assert self.scale is not None
        return [(f"{self._y(t):.2f}px", self.written(t)) for t in self.scale.ticks]

    def ends(self) -> list[tuple[str, str, str]]:
        """Labels at the right end, which push each other apart: from the top, look, text."""
        wanted = [(self._y(limit.value), "limit", limit.name) for limit in self.limits]
        for line in self.lines:
            known = [v for v in line.values if v is not None]
            if known and line.labelled:
                wanted.append((self._y(known[-1]), line.look, line.name))
        wanted.sort(key=lambda label: label[0])
        places = spread([y for y, _, _ in wanted], _LABEL_PIXELS, self.height)
        return [
            (f"{y:.1f}px", look, text)
            for y, (_, look, text) in zip(places, wanted, strict=True)
        ]  # fmt: skip

    def legend(self) -> list[tuple[str, str]]:
        """Look and name of the lines whose names have no room at their ends."""
        cut = [line for line in self.lines if not line.labelled or len(line.name) > _MAX_LABEL]
        return [(line.look, line.name) for line in cut]

    def svg(self, behind: Markup) -> Markup:
        """The picture; ``behind`` are bands and marks that all panels share."""
        assert self.scale is not None
        length = max(len(line.values) for line in self.lines)
        grid = "".join(
            f'<path class="grid" d="M0 {self._y(t):.2f}H{length}"/>' for t in self.scale.ticks
        )
        parts = [Markup(grid)]  # noqa: S704  (numbers only)
        for line in self.lines:
            data = {"look": line.look, "name": line.name}
            if line.filled:
                parts.append(
                    Markup('<path class="area {look}" d="{d}"/>').format(d=self._area(line), **data)
                )
            parts.append(
                Markup('<path class="line {look}" data-series="{name}" d="{d}"/>').format(
                    d=self._path(line), **data
                )
            )
        for limit in self.limits:
            parts.append(
                Markup('<path class="line limit" data-limit="{}" d="M0 {:.2f}H{}"/>').format(
                    limit.name, self._y(limit.value), length
                )
            )
        return Markup(
            '<svg class="{dense}" viewBox="0 0 {w} {h}" height="{h}" preserveAspectRatio="none" '
            'role="img" aria-label="{title}" data-low="{low!r}" data-high="{high!r}" '
            'data-log="{log}">{behind}{parts}</svg>'
        ).format(
            dense="dense" if length > _DENSE else "", w=length, h=self.height,
            title=f"{self.title}. {self.note}", low=self.scale.low, high=self.scale.high,
            log=int(self.scale.log), behind=behind, parts=Markup("").join(parts),
        )  # fmt: skip

    def values(self) -> list[dict[str, Any]]:
        """For the readout under the pointer: the texts that occur, and which each cell has."""
        read = self.read or self.written
        found = []
        for line in self.lines:
            texts: dict[str, int] = {}
            cells = [
                texts.setdefault("" if v is None else read(v), len(texts)) for v in line.values
            ]
            found.append(
                {"name": line.name, "look": line.look, "texts": list(texts), "cells": cells}
            )
        return found

    def _y(self, value: float) -> float:
        assert self.scale is not None
        return self.height * (1 - min(1.0, max(0.0, self.scale.share(value))))

    def _path(self, line: Line) -> str:
        words, before = [], None
        for cell, value in enumerate(line.values):
            if value is None:
                before = None
                continue
            y = f"{self._y(value):.2f}"
            if line.stepped:
                # A cell is drawn over its whole width; levels that stay need no points.
                if before is None:
                    words.append(f"M{cell} {y}H{cell + 1}")
                elif y == before and words[-1].startswith("H"):
                    words[-1] = f"H{cell + 1}"
                else:
                    words += [f"V{y}", f"H{cell + 1}"] if y != before else [f"H{cell + 1}"]
            elif before is None:
                # With a point of no length: a lone value would not be seen otherwise.
                words.append(f"M{cell + 0.5} {y}h0")
            else:
                words.append(f"L{cell + 0.5} {y}")
            before = y
        return "".join(words)

    def _area(self, line: Line) -> str:
        words: list[str] = []
        begun = False
        for cell, value in enumerate([*line.values, None]):
            if value is None:
                words += [f"V{self.height}Z"] if begun else []
                begun = False
                continue
            if not begun:
                words.append(f"M{cell} {self.height}")
                begun = True
            words.append(f"V{self._y(value):.2f}H{cell + 1}")
        return "".join(words)


def spread(places: Sequence[float], apart: float, room: float) -> list[float]:
    """Sorted ``places``, moved as little as it takes to be ``apart`` and within ``room``."""
    moved = list(places)
    for _ in range(60):
        for i in range(1, len(moved)):
            missing = apart - (moved[i] - moved[i - 1])
            if missing > 1e-6:
                moved[i - 1] -= missing / 2
                moved[i] += missing / 2
        if moved and moved[0] < 0:
            moved[0] = 0.0
        if moved and moved[-1] > room:
            moved[-1] = room
    return moved
