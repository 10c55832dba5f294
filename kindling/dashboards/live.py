"""Whether a live Prometheus has what dashboards and rules ask of it."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kindling import paths, web
from kindling.dashboards.queries import Asked
from kindling.errors import KindlingError

RULES = paths.REPOSITORY / "charts" / "prometheus" / "rules"
_SECONDS = 30
# Of a histogram or a counter, the metadata has the family's name only.
_SUFFIXES = ("", "_total", "_bucket", "_sum", "_count", "_info")


@dataclass(frozen=True)
class Prometheus:
    """The read API of the Prometheus at ``url``."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        """The ``data`` of ``GET /api/v1/PATH``. Raises KindlingError with what Prometheus says."""
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with web.without_proxy().open(address, timeout=_SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(4096).decode(errors="replace")
            raise KindlingError(f"Prometheus refuses {path} {parameters}: {said}") from error
        except (*web.NO_ANSWER, ValueError) as error:
            raise KindlingError(
                f"Prometheus at {self.url} does not answer: {error}", next_step="nox -s status"
            ) from error

    def has_data(self, promql: str) -> bool:
        """Whether ``promql`` has a value now that is a number."""
        data = self.get("query", query=promql)
        if data["resultType"] == "scalar":
            return not math.isnan(float(data["result"][1]))
        return any(not math.isnan(float(series["value"][1])) for series in data["result"])

    def metrics_of(self, promql: str) -> set[str]:
        """The names of the metrics that ``promql`` reads, as Prometheus' own parser sees them."""
        return set(_names(self.get("parse_query", query=promql)))

    def metrics(self) -> set[str]:
        """The names of what is stored, and of what targets say they can export."""
        found = set(self.get("label/__name__/values"))
        families = self.get("metadata")
        return found | {name + suffix for name in families for suffix in _SUFFIXES}


def without_data(prometheus: Prometheus, asked: Iterable[Asked]) -> list[str]:
    """The queries that have no data, and that are not told to be empty at times; one line each."""
    wrong = []
    for one in asked:
        try:
            if not prometheus.has_data(one.promql) and not one.empty_when:
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


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("type") in ("vectorSelector", "matrixSelector") and node.get("name"):
            yield node["name"]
        for value in node.values():
            yield from _names(value)
    elif isinstance(node, list):
        for value in node:
            yield from _names(value)
