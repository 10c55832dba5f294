"""One page without anything from elsewhere: curves, tables, limits."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from loadtests.bench_serving import chart, terminal
from loadtests.bench_serving.figures import Figures, Limit
from loadtests.bench_serving.models import TITLES
from loadtests.report import words

_HERE = Path(__file__).parent
_SHARED = _HERE.parent / "report" / "page.css"


@dataclass(frozen=True)
class Result:
    """What was measured with one model, and what came of the limits."""

    model: str
    measured: Mapping[str, Figures]
    limits: Sequence[Limit]


def render(results: Sequence[Result], effort: str, absent: Sequence[str]) -> str:
    """The page; ``effort`` says how much was measured, ``absent`` who is missing."""
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    names = dict.fromkeys(name for result in results for name in result.measured)
    return pages.get_template("page.html.j2").render(
        style=Markup(_SHARED.read_text()),  # noqa: S704  (ours, no data in it)
        own=Markup((_HERE / "page.css").read_text()),  # noqa: S704
        when=words.moment(time.time()),
        effort=effort,
        absent=absent,
        latencies=terminal.latency_words(),
        columns=terminal.COLUMNS,
        looks={True: "passed", False: "failed", None: "skipped"},
        verdicts={True: "held", False: "missed", None: "not judged"},
        setups=terminal.setups(list(names)),
        models=[
            {
                "title": TITLES[result.model],
                "limits": result.limits,
                "rows": terminal.rows(result.measured),
                "remarks": terminal.remarks(result.measured),
                "pictures": _pictures(result.measured),
            }
            for result in results
        ],
    )


def _pictures(measured: Mapping[str, Figures]) -> list[dict[str, str]]:
    if not any(one.ranked for one in measured.values()):
        return []
    kinds = {"p99": Figures.p99, "p50": Figures.p50}
    return [
        {"title": f"{name} against requests/s", "svg": chart.draw(measured, f"{name} latency", of)}
        for name, of in kinds.items()
    ]
