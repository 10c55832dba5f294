"""Whether a live Prometheus has what dashboards and rules ask of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from kindling import paths
from kindling.dashboards.queries import Asked
from kindling.errors import KindlingError
from kindling.prometheus import Prometheus

RULES = paths.REPOSITORY / "charts" / "prometheus" / "rules"


def without_data(
    prometheus: Prometheus, asked: Iterable[Asked], at: float | None = None
) -> list[str]:
    """The queries that have no data, and that are not told to be empty at times; one line each.

    They are asked as they are now, or were ``at`` a Unix time.
    """
    wrong = []
    for one in asked:
        try:
            if not prometheus.has_data(one.promql, at) and not one.empty_when:
                wrong.append(f"no data: {one}")
        except KindlingError as error:
            wrong.append(f"{error}: {one}")
    return wrong


def unknown_metrics(
    prometheus: Prometheus, expressions: Iterable[str], *, known: Iterable[str] = ()
) -> dict[str, str]:
    """Metrics that nothing exports and that are not ``known``, each with one that reads it."""
    # Prometheus makes these itself, and only while an alert is pending or fires.
    there = prometheus.metrics() | set(known) | {"ALERTS", "ALERTS_FOR_STATE"}
    return {
        name: promql
        for promql in expressions
        for name in prometheus.metrics_of(promql)
        if name not in there
    }


def rules(folder: Path = RULES) -> list[dict[str, Any]]:
    """Every rule of the files in ``folder``: ``expr``, and ``record`` or ``alert``."""
    return [
        rule
        for file in sorted(folder.glob("*.y*ml"))
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]
