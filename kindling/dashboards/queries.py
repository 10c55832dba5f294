"""Every query of the dashboards, with its variables filled in, to be asked of a Prometheus."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from kindling.dashboards.source import ALL, Dashboard, Variable, load_all


@dataclass(frozen=True)
class Asked:
    """One query: whose it is, and whether a healthy cluster may have no data for it."""

    dashboard: str
    kind: Literal["panel", "variable", "annotation"]
    name: str
    promql: str
    empty_when: str = ""

    def __str__(self) -> str:
        return f"{self.dashboard}, {self.kind} {self.name}: {self.promql}"


def queries(
    dashboards: Iterable[Dashboard] | None = None,
    *,
    rate_interval: str = "1m",
    values: Mapping[str, str] | None = None,
) -> Iterator[Asked]:
    """Yield every query of ``dashboards``, by default all of ours.

    Variables have their defaults, or what ``values`` says.
    """
    for dashboard in load_all() if dashboards is None else dashboards:
        given = {variable.name: initial(variable) for variable in dashboard.variables}
        given |= {"__rate_interval": rate_interval, "__interval": rate_interval} | dict(
            values or {}
        )
        for panel in dashboard.panels:
            for query in panel.queries:
                text = fill_in(query.promql, given)
                yield Asked(dashboard.title, "panel", panel.title, text, query.empty_when)
        for variable in dashboard.variables:
            text = f"count by ({variable.of}) ({variable.metric})"
            yield Asked(dashboard.title, "variable", variable.name, text)
        for one in dashboard.annotations:
            text = fill_in(one.promql, given)
            yield Asked(dashboard.title, "annotation", one.name, text, "nothing of it happened")


def initial(variable: Variable) -> str:
    """The value that ``variable`` begins with, as a query gets it."""
    return variable.default or ALL


def fill_in(promql: str, values: Mapping[str, str]) -> str:
    """``promql`` with ``$name`` and ``${name}`` replaced."""
    return re.sub(
        r"\$(?:(\w+)|\{(\w+)\})",
        lambda found: values.get(found[1] or found[2], found[0]),
        promql,
    )
