"""The read API of a Prometheus."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kindling import web
from kindling.errors import KindlingError

# Of a histogram or a counter, the metadata has the family's name only.
_SUFFIXES = ("", "_total", "_bucket", "_sum", "_count", "_info")


@dataclass(frozen=True)
class Prometheus:
    """The Prometheus at ``url``, which must answer each question in ``seconds``."""

    url: str
    seconds: float = 30

    def get(self, path: str, **parameters: str) -> Any:
        """The ``data`` of ``GET /api/v1/PATH``. Raises KindlingError with what Prometheus says."""
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with web.without_proxy().open(address, timeout=self.seconds) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(4096).decode(errors="replace")
            raise KindlingError(f"Prometheus refuses {path} {parameters}: {said}") from error
        except (*web.NO_ANSWER, ValueError, KeyError) as error:
            raise KindlingError(
                f"Prometheus does not answer at {self.url}: {getattr(error, 'reason', error)}",
                next_step="nox -s status",
            ) from error

    def value(self, promql: str) -> float | None:
        """The one number that ``promql`` is now; None where it has no value, or one that is none.

        Raises KindlingError where it has more than one.
        """
        result = self.get("query", query=promql)["result"]
        if len(result) > 1:
            raise KindlingError(f"{promql} has {len(result)} values, not one")
        found = float(result[0]["value"][1]) if result else math.nan
        return None if math.isnan(found) else found

    def values(self, promql: str, label: str) -> dict[str, float]:
        """What ``promql`` is now for each value of ``label``; it is summed by that one alone."""
        result = self.get("query", query=promql)["result"]
        return {series["metric"][label]: float(series["value"][1]) for series in result}

    def has_data(self, promql: str, at: float | None = None) -> bool:
        """Whether ``promql`` has a value that is a number, now or ``at`` a Unix time."""
        moment = {} if at is None else {"time": f"{at}"}
        data = self.get("query", query=promql, **moment)
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

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that pend or fire, as the API gives them."""
        found: list[dict[str, Any]] = self.get("alerts")["alerts"]
        return found


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("type") in ("vectorSelector", "matrixSelector") and node.get("name"):
            yield node["name"]
        for value in node.values():
            yield from _names(value)
    elif isinstance(node, list):
        for value in node:
            yield from _names(value)
