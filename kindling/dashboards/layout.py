"""Where panels go on a grid of 24 columns, the same for Grafana and Perses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kindling.dashboards.source import COLUMNS, Panel


@dataclass(frozen=True)
class Place:
    """Position and size on the grid."""

    x: int
    y: int
    width: int
    height: int


def place(panels: Sequence[Panel]) -> Iterator[tuple[Panel, Place]]:
    """Panels from left to right, on a new line below the highest where one does not fit."""
    x = y = tallest = 0
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        yield panel, Place(x, y, panel.width, panel.height)
        x += panel.width
        tallest = max(tallest, panel.height)


def height(panels: Sequence[Panel]) -> int:
    """Rows of the grid that ``panels`` take."""
    return max((where.y + where.height for _, where in place(panels)), default=0)
