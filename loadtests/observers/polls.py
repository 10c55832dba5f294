"""What is asked each second: Prometheus, Alertmanager, and the receiver of notifications."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from kindling.alerts import RECEIVER
from kindling.errors import KindlingError
from loadtests.observers.link import Link
from loadtests.observers.objects import unix
from loadtests.observers.observer import Observer

Labels = tuple[tuple[str, str], ...]


class Alerts:
    """The alerts of Prometheus: a moment for each change of one's state."""

    def __init__(self) -> None:
        self._known: dict[Labels, tuple[str, float]] = {}

    def __call__(self, observer: Observer, link: Link) -> None:
        """Ask once."""
        found = {
            tuple(sorted(one["labels"].items())): (one["state"], unix(one["activeAt"]))
            for one in _data(link.get("/api/v1/alerts"))["alerts"]
        }
        over = {
            labels: ("inactive", active_at)
            for labels, (_, active_at) in self._known.items()
            if labels not in found
        }
        for key, (state, active_at) in {**found, **over}.items():
            if self._known.get(key) != (state, active_at):
                labels = dict(key)
                observer.add(
                    "alert", labels.get("alertname", ""), state=state, labels=labels,
                    active_at=active_at,
                )  # fmt: skip
        self._known = found


class Metrics:
    """Instant queries, by name; each series has a label ``pod``. A moment where values changed."""

    def __init__(self, queries: Mapping[str, str]) -> None:
        self._queries = queries
        self._known: dict[str, dict[str, float]] = {}

    def __call__(self, observer: Observer, link: Link) -> None:
        """Ask once."""
        for name, query in self._queries.items():
            found = _data(link.get("/api/v1/query", query=query))["result"]
            values = {one["metric"].get("pod", ""): float(one["value"][1]) for one in found}
            if values != self._known.get(name):
                self._known[name] = values
                rounded = {pod: round(value, 4) for pod, value in values.items()}
                total = round(sum(values.values()), 4) if values else None
                observer.add("metrics", name, value=total, values=rounded)


class ActiveAlerts:
    """What is active in Alertmanager, as the series ``active alerts``: how many by alert name."""

    def __init__(self) -> None:
        self._known: Counter[str] | None = None

    def __call__(self, observer: Observer, link: Link) -> None:
        """Ask once."""
        found = Counter(
            one["labels"]["alertname"] for one in link.get("/api/v2/alerts", active="true")
        )
        if found != self._known:
            self._known = found
            observer.add("metrics", "active alerts", value=found.total(), values=dict(found))


class Notifications:
    """What the receiver in the cluster keeps, from now on, through the API server."""

    def __init__(self) -> None:
        self._since = time.time()
        self._seen: set[tuple[str, str, Labels]] = set()

    def __call__(self, observer: Observer, link: Link) -> None:
        """Ask once."""
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._since))
        for one in link.get(RECEIVER, since=since)["notifications"]:
            key = one["received"], one["status"], tuple(sorted(one["labels"].items()))
            received = unix(one["received"])
            if key in self._seen or received < self._since:
                continue
            self._seen.add(key)
            observer.add(
                "notification", one["labels"].get("alertname", ""), at=received,
                status=one["status"], labels=one["labels"], starts_at=unix(one["startsAt"]),
                received_at=received,
            )  # fmt: skip


def queries(namespace: str, job: str, seconds: float) -> dict[str, str]:
    """What ``Metrics`` asks of the pods of ``job``; rates are over ``seconds``."""
    which = f'namespace="{namespace}",job="{job}"'
    window = f"[{seconds:g}s]"
    return {
        "cpu": f"sum by (pod) (rate(process_cpu_seconds_total{{{which}}}{window}))",
        "in_flight": f"sum by (pod) (http_requests_in_flight{{{which}}})",
        "requests": f"sum by (pod) (rate(llm_requests_total{{{which}}}{window}))",
        "errors": (f'sum by (pod) (rate(llm_requests_total{{{which},status=~"5.."}}{window}))'),
    }


def _data(answer: Any) -> Any:
    if answer.get("status") != "success":
        raise KindlingError(f"Prometheus says: {answer.get('error', answer)}")
    return answer["data"]
