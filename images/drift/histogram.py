"""A small drawing of two distributions in the same bins, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

import numpy as np

from drift.sketches import Feature

_WIDTH, _HEIGHT, _BASE = 300, 110, 92


def draw(feature: Feature) -> str:
    """Bars of the training's shares and, before them, of the recent ones."""
    shares = [counts / max(1, counts.sum()) for counts in (feature.reference, feature.live)]
    labels = bin_labels(feature.edges)
    step = _WIDTH / len(labels)
    top = max(float(np.max(part)) for part in shares) or 1.0
    bars = []
    for index, label in enumerate(labels):
        told = " / ".join(f"{part[index]:.1%}" for part in shares)
        bars.append(f"<g><title>{escape(label)}: {told}</title>")
        for part, kind, inset in ((shares[0], "was", 0.08), (shares[1], "is", 0.3)):
            height = float(part[index]) / top * (_BASE - 4)
            bars.append(
                f'<rect class="{kind}" x="{step * (index + inset):.1f}" y="{_BASE - height:.1f}" '
                f'width="{step * (1 - 2 * inset):.1f}" height="{height:.1f}"/>'
            )
        bars.append("</g>")
    name = escape(feature.name, quote=True)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="distribution of {name}">'
        f'{"".join(bars)}<line x1="0" y1="{_BASE}" x2="{_WIDTH}" y2="{_BASE}"/>'
        f'<text x="0" y="{_HEIGHT - 4}">{escape(labels[0])}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 4}" text-anchor="end">{escape(labels[-1])}</text></svg>'
    )


def bin_labels(edges: Sequence[float]) -> list[str]:
    """What is in each bin: its one whole number, or its range."""
    if not edges:
        return ["all"]
    whole = all(edge % 1 == 0.5 for edge in edges) and len(edges) == edges[-1] - edges[0] + 1
    if whole:
        return [str(round(edges[0] - 0.5)), *(str(round(edge + 0.5)) for edge in edges)]
    inner = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    return [f"up to {edges[0]:.4g}", *inner, f"above {edges[-1]:.4g}"]
