"""What Prometheus and the receiver of notifications of a cluster know."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from typing import Any

from conftest import Cluster

from kindling import cluster as clusters

_RECEIVER = "/api/v1/namespaces/kindling/services/prometheus-alert-receiver:http/proxy"


class Monitoring:
    """Questions to the Prometheus of a cluster, and to the receiver that Alertmanager notifies."""

    def __init__(self, cluster: Cluster) -> None:
        ports = clusters.known(cluster.name)["ports"]
        self.prometheus = f"http://127.0.0.1:{ports['prometheus']}"
        self.alertmanager = f"http://127.0.0.1:{ports['alertmanager']}"
        self._kubectl = cluster.kubectl

    def ask(self, path: str, **parameters: str) -> Any:
        """``data`` of the answer to ``GET /api/v1/PATH``."""
        url = f"{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query: each with ``metric`` and ``value``."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def value(self, expression: str) -> float | None:
        """The one value of an instant query; None where there is none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def state(self, alert: str, **labels: str) -> str:
        """inactive, pending or firing, of the alert with these labels."""
        states = {
            one["state"]
            for one in self.ask("alerts")["alerts"]
            if one["labels"]["alertname"] == alert and labels.items() <= one["labels"].items()
        }
        return "firing" if "firing" in states else "pending" if states else "inactive"

    def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        return {
            one["labels"]["alertname"]
            for one in self.ask("alerts")["alerts"]
            if one["state"] == "firing"
        }

    def notified(self, alert: str, status: str, since: float, **labels: str) -> list[Any]:
        """Notifications of the alert that arrived at the receiver after ``since`` (Unix time)."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since))
        query = urllib.parse.urlencode({"alertname": alert, "status": status, "since": moment})
        answer = self._kubectl.check("get", "--raw", f"{_RECEIVER}/notifications?{query}")
        return [
            one
            for one in json.loads(answer)["notifications"]
            if labels.items() <= one["labels"].items()
        ]
