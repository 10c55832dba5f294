"""The service's Prometheus metrics, in a registry of their own."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

# When each series began: as many lines again, which nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]

# Whatever happens, no other value of `status` is exported.
STATUSES = frozenset({200, 400, 404, 405, 408, 413, 422, 499, 500, 503, 504})
# A refusal takes no time worth knowing, and many of them would hide how slow the rest are.
_TIMED = frozenset({200, 500, 504})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
_TYPES = ("input", "output")
# What a request is counted under whose model is not known, or no longer.
UNKNOWN = "unknown"
# Versions of one model that keep their series.
KEPT = 4


class Metrics:
    """Counts and times of requests to models, and which versions are served.

    Only versions that were served, and of each model only the last ones, have series.
    """

    def __init__(self, models: Sequence[str] = ()) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "llm_requests_total",
            "Requests to models answered, by HTTP status.",
            ["model", "version", "status"],
            registry=self.registry,
        )
        self._latency = Histogram(
            "llm_request_latency_seconds",
            "Time from the request's head to the end of the answer, of requests not refused.",
            ["model", "version"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._tokens = Counter(
            "llm_tokens_total",
            "Tokens read from prompts and written in answers.",
            ["model", "version", "type"],
            registry=self.registry,
        )
        self._accuracy = self._gauge(
            "model_accuracy",
            "Share of held-out examples that the served version gets right.",
            "model", "version",
        )  # fmt: skip
        self._info = self._gauge("model_info", "1 for the version served.", "model", "version")
        self._swaps = Counter(
            "model_swaps_total",
            "Times that another version took the place of one served.",
            ["model"],
            registry=self.registry,
        )
        self._refused = Counter(
            "model_refused_total",
            "Versions that the registry wanted served and that were refused.",
            ["model"],
            registry=self.registry,
        )
        self.registry_up = self._gauge("model_registry_up", "1 if the registry answers.")
        self.in_flight = self._gauge(
            "http_requests_in_flight",
            "Requests being answered now; probes and scrapes are not counted.",
        )
        self._versions: dict[str, list[str]] = {}
        self._create_series(UNKNOWN, UNKNOWN)
        for model in models:
            self._swaps.labels(model)
            self._refused.labels(model)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def served(self, model: str, version: str, accuracy: float) -> None:
        """A version that is served from now on, in the place of any other of its model."""
        versions = self._versions.setdefault(model, [])
        if versions:
            self._swaps.labels(model).inc()
            for gauge in (self._accuracy, self._info):
                gauge.remove(model, versions[-1])
        if version in versions:
            versions.remove(version)
        versions.append(version)
        self._accuracy.labels(model, version).set(accuracy)
        self._info.labels(model, version).set(1)
        self._create_series(model, version)
        if len(versions) > KEPT:
            self._remove_series(model, versions.pop(0))

    def refused(self, model: str) -> None:
        """A version that is not going to be served."""
        self._refused.labels(model).inc()

    def answered(self, model: str, version: str, status: int, seconds: float) -> None:
        """Count one answered request, and time it unless it was refused."""
        model, version = self._known(model, version)
        label = str(status) if status in STATUSES else "other"
        self._requests.labels(model, version, label).inc()
        if status in _TIMED:
            self._latency.labels(model, version).observe(seconds)

    def tokens(self, model: str, version: str, *, input: int = 0, output: int = 0) -> None:  # noqa: A002
        """Count the tokens of one request."""
        labels = self._known(model, version)
        for kind, amount in zip(_TYPES, (input, output), strict=True):
            self._tokens.labels(*labels, kind).inc(amount)

    def _known(self, model: str, version: str) -> tuple[str, str]:
        known = version in self._versions.get(model, ())
        return (model, version) if known else (UNKNOWN, UNKNOWN)

    def _create_series(self, model: str, version: str) -> None:
        # Series that exist from the start: a rate over a missing one is nothing, not zero.
        for status in STATUSES:
            self._requests.labels(model, version, str(status))
        self._latency.labels(model, version)
        for kind in _TYPES:
            self._tokens.labels(model, version, kind)

    def _remove_series(self, model: str, version: str) -> None:
        labels = {"model": model, "version": version}
        for metric in (self._requests, self._latency, self._tokens):
            metric.remove_by_labels(labels)
