"""What Prometheus and the receiver of notifications of a cluster know."""

from __future__ import annotations

import math
import time
from typing import Any

from conftest import Cluster

from kindling.alerts import ask_receiver


class Monitoring:
    """Questions to the Prometheus of a cluster, and to the receiver that Alertmanager notifies."""

    def __init__(self, cluster: Cluster) -> None:
        self._prometheus = cluster.prometheus
        self._kubectl = cluster.kubectl

    def ask(self, path: str, **parameters: str) -> Any:
        """``data`` of the answer to ``GET /api/v1/PATH``."""
        return self._prometheus.get(path, **parameters)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query: each with ``metric``, and ``value`` or ``values``."""
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
            for one in self._prometheus.alerts()
            if one["labels"]["alertname"] == alert and labels.items() <= one["labels"].items()
        }
        return "firing" if "firing" in states else "pending" if states else "inactive"

    def states(self, alert: str, since: float, **labels: str) -> list[str]:
        """The states that the alert with these labels went through after ``since``, in order."""
        chosen = ",".join(f'{name}="{value}"' for name, value in labels.items())
        # Samples as they are: what had no end when Prometheus restarted else lasts five minutes.
        window = math.ceil(time.time() - since)
        found = self.query(f'ALERTS{{alertname="{alert}",{chosen}}}[{window}s]')
        seen = sorted(
            (at, one["metric"]["alertstate"])
            for one in found
            for at, _ in one["values"]
            if at >= since
        )
        return list(dict.fromkeys(state for _, state in seen))

    def notified(self, alert: str, status: str, since: float, **labels: str) -> list[Any]:
        """Notifications of the alert that arrived at the receiver after ``since`` (Unix time)."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since))
        found = ask_receiver(self._kubectl, alertname=alert, status=status, since=moment)
        assert found is not None, "the receiver does not answer"
        return [one for one in found if labels.items() <= one["labels"].items()]
