"""A latency against throughput, one line for each server with a point for each concurrency."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

from markupsafe import Markup

from loadtests.bench_serving.figures import CONCURRENCIES, Figures
from loadtests.bench_serving.peers import PEERS
from loadtests.report import scales, words
from loadtests.report.plot import spread

_WIDTH, _HEIGHT = 590.0, 330.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 178.0, 12.0, 40.0
_LABEL = 15.0
LOOKS = {name: f"s{index}" for index, name in enumerate(PEERS, start=1)}


def draw(
    measured: Mapping[str, Figures], title: str, of: Callable[[Figures, int], float]
) -> Markup:
    """The picture; ``of`` gives a server's latency in seconds at a concurrency."""
    ranked = [one for one in measured.values() if one.ranked]
    across = scales.linear(max(one.rate(c) for one in ranked for c in CONCURRENCIES))
    latencies = [of(one, c) for one in ranked for c in CONCURRENCIES]
    up = scales.logarithmic(min(latencies), max(latencies))

    def x(rate: float) -> float:
        return _LEFT + across.share(rate) * (_WIDTH - _LEFT - _RIGHT)

    def y(seconds: float) -> float:
        return _HEIGHT - _BOTTOM - up.share(seconds) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_horizontal(y(t), words.duration(t)) for t in up.ticks]
    parts += [_vertical(x(t), words.amount(t)) for t in across.ticks]
    parts.append(
        Markup('<text class="what" x="{}" y="{}">requests/s</text>').format(
            (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 4
        )
    )
    # How far down, how far right, the class of the style sheet, the name.
    ends: list[tuple[float, float, str, str]] = []
    for one in ranked:
        points = [(x(one.rate(c)), y(of(one, c))) for c in CONCURRENCIES]
        parts.append(_line(points, one, of))
        right, down = points[-1]
        ends.append((down, right, LOOKS[one.name], PEERS[one.name].title))
    parts += _labels(ends)
    return Markup(
        '<svg viewBox="0 0 {w} {h}" role="img" aria-label="{title}">{parts}</svg>'
    ).format(w=int(_WIDTH), h=int(_HEIGHT), title=title, parts=Markup("").join(parts))


def _line(
    points: list[tuple[float, float]], one: Figures, of: Callable[[Figures, int], float]
) -> Markup:
    steps = Markup("").join(
        Markup('<path class="line {}" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>').format(
            LOOKS[one.name], *begin, *end
        )
        for begin, end in pairwise(points)
    )
    dots = Markup("").join(
        Markup(
            '<circle class="point {look}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{title}, {c} at'
            " once: {rate} requests/s, {latency}</title></circle>"
        ).format(
            look=LOOKS[one.name], x=x, y=y, title=PEERS[one.name].title, c=c,
            rate=words.amount(one.rate(c)), latency=words.duration(of(one, c)),
        )
        for c, (x, y) in zip(CONCURRENCIES, points, strict=True)
    )  # fmt: skip
    return steps + dots


def _labels(ends: list[tuple[float, float, str, str]]) -> list[Markup]:
    """Names at the right, each as near to the end of its line as the others let it."""
    ends.sort()
    places = spread([y for y, *_ in ends], _LABEL, _HEIGHT - _BOTTOM)
    right = _WIDTH - _RIGHT + 14
    return [
        Markup(
            '<path class="leader" d="M{x:.1f} {y:.1f}L{right:.1f} {at:.1f}"/>'
            '<text class="name {look}" x="{text:.1f}" y="{base:.1f}">{title}</text>'
        ).format(
            x=x + 6, y=y, right=right, at=place, look=look, text=right + 4, base=place + 4,
            title=title,
        )
        for place, (y, x, look, title) in zip(places, ends, strict=True)
    ]  # fmt: skip


def _horizontal(y: float, text: str) -> Markup:
    return Markup(
        '<path class="grid" d="M{left} {y:.1f}H{right}"/>'
        '<text class="tick" x="{x}" y="{base:.1f}">{text}</text>'
    ).format(left=_LEFT, right=_WIDTH - _RIGHT, y=y, x=_LEFT - 8, base=y + 4, text=text)


def _vertical(x: float, text: str) -> Markup:
    return Markup('<text class="across" x="{x:.1f}" y="{y}">{text}</text>').format(
        x=x, y=_HEIGHT - _BOTTOM + 18, text=text
    )
