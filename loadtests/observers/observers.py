"""All observers of a load test, beside the load."""

from __future__ import annotations

import http.client
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

from kindling.errors import KindlingError
from kindling.kubectl import Kubectl
from loadtests.observers import objects
from loadtests.observers.link import Address, Link
from loadtests.observers.observer import Observer, Poll
from loadtests.observers.polls import ActiveAlerts, Alerts, Metrics, Notifications, queries
from loadtests.observers.watch import Watch
from loadtests.timeline import Timeline

_POOL = "kindling.dev/pool"
_NAME = "app.kubernetes.io/name"
_ANSWER_SECONDS = 5.0
_STOP_SECONDS = 1.8
# For what is in Prometheus, a rate needs two scrapes even where one was late.
_SCRAPES = 3


class Observers:
    """Watch a Deployment and what belongs to it, until the block ends.

    On entry each observer has reported a first full state; KindlingError names one that has not
    within ``start_seconds``. Leaving takes two seconds at most. ``names`` are those of the
    observers, which are also the names of their ``observer`` moments.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        timeline: Timeline,
        *,
        namespace: str,
        deployment: str,
        hpa: str | None,
        prometheus_url: str | None,
        alertmanager_url: str | None,
        receiver: bool = True,
        scrape_seconds: float = 5.0,
        poll_seconds: float = 1.0,
        start_seconds: float = 20.0,
    ) -> None:
        self._kubectl, self._timeline = kubectl, timeline
        self._namespace, self._deployment, self._hpa = namespace, deployment, hpa
        self._prometheus, self._alertmanager = prometheus_url, alertmanager_url
        self._receiver, self._window = receiver, _SCRAPES * scrape_seconds
        self._pause, self._start_seconds = poll_seconds, start_seconds
        self._pools: dict[str, str] = {}
        self._observers: list[Observer] = []
        self._began = self._ended = 0.0

    @property
    def names(self) -> list[str]:
        return [one.name for one in self._observers]

    @property
    def cpu_share(self) -> float:
        """Share of one core that the observers' threads have used, on this side of the wire."""
        elapsed = (self._ended or time.monotonic()) - self._began
        return sum(one.cpu_seconds for one in self._observers) / elapsed

    def __enter__(self) -> Observers:
        deadline = time.monotonic() + self._start_seconds
        api = Address.of(self._kubectl)
        self._nodes = Link(api, _ANSWER_SECONDS)
        self._observers = [*self._watches(api), *self._polls(api)]
        self._began = time.monotonic()
        try:
            for one in self._observers:
                one.start()
            for one in self._observers:
                if not one.has_seen.wait(max(0.0, deadline - time.monotonic())):
                    raise KindlingError(
                        f"the observer of {one.name} has seen nothing in "
                        f"{self._start_seconds:g} s: {one.problem}",
                        next_step="nox -s status",
                    )
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        deadline = time.monotonic() + _STOP_SECONDS
        running = list(self._observers)
        while running and time.monotonic() < deadline:
            # Again and again: a thread may just have been opening its connection.
            self._nodes.wake()
            for one in running:
                one.stop()
            running = [one for one in running if not one.join(0.1 / len(running))]
        self._nodes.close()
        self._ended = time.monotonic()

    def _watches(self, api: Address) -> list[Observer]:
        core, apps = f"/api/v1/namespaces/{self._namespace}", "/apis/apps/v1/namespaces/"
        deployments = f"{apps}{self._namespace}/deployments"
        found = self._item(f"{deployments}/{urllib.parse.quote(self._deployment)}")
        labels = found["spec"]["selector"]["matchLabels"]
        self._job = labels.get(_NAME, self._deployment)
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        timeline = self._timeline
        watches: list[Observer] = [
            Watch("pod", timeline, api, f"{core}/pods", self._pod, labelSelector=selector),
            Watch(
                "deployment", timeline, api, deployments, objects.deployment,
                required=self._deployment, fieldSelector=f"metadata.name={self._deployment}",
            ),
            Watch("event", timeline, api, f"{core}/events", objects.event, history=True),
        ]  # fmt: skip
        if self._hpa:
            path = f"/apis/autoscaling/v2/namespaces/{self._namespace}/horizontalpodautoscalers"
            watches.append(
                Watch(
                    "hpa", timeline, api, path, objects.autoscaler, required=self._hpa,
                    fieldSelector=f"metadata.name={self._hpa}",
                )
            )  # fmt: skip
        return watches

    def _polls(self, api: Address) -> list[Observer]:
        asked: list[tuple[str, Address, Any]] = []
        if self._prometheus:
            address = Address(self._prometheus)
            asked.append(("alert", address, Alerts()))
            asked.append(
                ("metrics", address, Metrics(queries(self._namespace, self._job, self._window)))
            )
        if self._alertmanager:
            asked.append(("alertmanager", Address(self._alertmanager), ActiveAlerts()))
        if self._receiver:
            asked.append(("notification", api, Notifications()))
        return [
            Poll(name, self._timeline, Link(address, _ANSWER_SECONDS), ask, pause=self._pause)
            for name, address, ask in asked
        ]

    def _pod(self, item: Mapping[str, Any]) -> objects.Reduced:
        node = item["spec"].get("nodeName", "")
        if node and node not in self._pools:
            nodes = self._nodes.get("/api/v1/nodes")["items"]
            self._pools = {
                one["metadata"]["name"]: one["metadata"]["labels"].get(_POOL, "") for one in nodes
            }
        return objects.pod(item, self._pools.get(node, ""))

    def _item(self, path: str) -> Any:
        try:
            return self._nodes.get(path)
        except (OSError, http.client.HTTPException, ValueError, KindlingError) as error:
            self._nodes.close()
            raise KindlingError(
                f"the observer of pods has nothing to go by: {error}", next_step="nox -s status"
            ) from error
