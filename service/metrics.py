"""The service's Prometheus metrics, in a registry of their own."""

from __future__ import annotations

import time
from collections.abc import Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from service.metrics_inference import InferenceMetrics
from service.metrics_quality import QualityMetrics
from service.package import Kind
from service.tallies import Tallies

# When each series began: as many lines again, which nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]

# Whatever happens, no other value of `status` is exported.
STATUSES = frozenset({200, 400, 401, 404, 405, 408, 413, 415, 422, 499, 500, 502, 503, 504})
# A refusal takes no time worth knowing, and many of them would hide how slow the rest are.
_TIMED = frozenset({200, 500, 502, 504})
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
        self.inference = InferenceMetrics(self.registry, models)
        self.quality = QualityMetrics(self.registry)
        self._requests = Counter(
            "llm_requests_total",
            "Requests to models answered, by HTTP status.",
            ["model", "version", "status"],
            registry=self.registry,
        )
        self._latency = Tallies(
            "llm_request_latency_seconds",
            "Time from the end of the request's body to that of the answer, if not refused.",
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
        self._info = self._gauge(
            "model_info",
            "1 for the version served; kind `upstream` is answered elsewhere.",
            "model",
            "version",
            "kind",
        )
        self._share = self._gauge(
            "model_canary_share",
            "Share of the requests that a canary gets, beside the version served.",
            "model",
            "version",
        )
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
        # Asked of at a scrape, so that a request only adds and subtracts.
        self.in_flight = 0
        self._gauge(
            "http_requests_in_flight",
            "Requests to models whose body has arrived and that are being answered now.",
        ).set_function(lambda: self.in_flight)
        self.rejected = Counter(
            "http_requests_rejected_total",
            "Requests turned away because too many were in flight.",
            registry=self.registry,
        )
        self.closed = Counter(
            "http_connections_closed_total",
            "Connections closed because their client was too slow or sent too much, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self._versions: dict[str, list[str]] = {}
        self._series: dict[tuple[str, str], _Series] = {}
        self._unknown = self._create_series(UNKNOWN, UNKNOWN)
        for model in models:
            self._swaps.labels(model)
            self._refused.labels(model)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def served(
        self, model: str, version: str, accuracy: float | None, kind: Kind = "classifier"
    ) -> None:
        """A version that is served from now on, in the place of any other of its model."""
        versions = self._versions.setdefault(model, [])
        if versions:
            self._swaps.labels(model).inc()
            self._info.remove_by_labels({"model": model})
            self.quality.replaced(model)
        if version in versions:
            versions.remove(version)
        versions.append(version)
        self._info.labels(model, version, kind).set(1)
        self._create_series(model, version)
        self.inference.create(model, version)
        self.quality.served(model, version, kind, accuracy)
        self._forget(model)

    def canary(self, model: str, version: str, kind: Kind, share: float) -> None:
        """A version that gets a share of the requests from now on, beside the one served."""
        versions = self._versions.setdefault(model, [])
        self._share.labels(model, version).set(share)
        if version not in versions:
            # The last one is the one that is served.
            versions.insert(len(versions) - 1, version)
            self._create_series(model, version)
            self.inference.create(model, version)
            self.quality.create(model, version, kind)
            self._forget(model)

    def no_canary(self, model: str, version: str) -> None:
        """It gets none any more."""
        self._share.remove(model, version)

    def forwarded(self, model: str, version: str) -> None:
        """A model of an upstream, which answers from now on; nothing of it runs here."""
        self._info.labels(model, version, "upstream").set(1)
        self._create_series(model, version)

    def gone(self, model: str) -> None:
        """A model that is served no more: it has no series from now on."""
        versions = self._versions.pop(model, [])
        if versions:
            self._info.remove_by_labels({"model": model})
            self.quality.replaced(model)
        for version in versions:
            self._remove_series(model, version)
        self.inference.gone(model)
        for metric in (self._swaps, self._refused):
            metric.remove_by_labels({"model": model})

    def refused(self, model: str) -> None:
        """A version that is not going to be served."""
        self._refused.labels(model).inc()

    def answered(
        self, model: str, version: str, status: int, seconds: float, trace_id: str | None = None
    ) -> None:
        """Count one answered request, and time it unless it was refused.

        ``trace_id``, of a request whose trace is kept, becomes the exemplar of its bucket.
        """
        series = self._series.get((model, version), self._unknown)
        series.count(status)
        if status in _TIMED:
            series.latency.observe(seconds)
            if trace_id:
                series.latency.example(seconds, {"trace_id": trace_id}, time.time())

    def tokens(self, model: str, version: str, *, input: int = 0, output: int = 0) -> None:  # noqa: A002
        """Count the tokens of one request."""
        series = self._series.get((model, version), self._unknown)
        for kind, amount in zip(_TYPES, (input, output), strict=True):
            series.tokens[kind].inc(amount)

    def _forget(self, model: str) -> None:
        versions = self._versions[model]
        if len(versions) > KEPT:
            self._remove_series(model, versions.pop(0))

    def _create_series(self, model: str, version: str) -> _Series:
        series = _Series(self._requests, self._latency, self._tokens, model, version)
        self._series[model, version] = series
        return series

    def _remove_series(self, model: str, version: str) -> None:
        labels = {"model": model, "version": version}
        del self._series[model, version]
        self.inference.remove(model, version)
        self.quality.remove(model, version)
        self._latency.remove(model, version)
        for metric in (self._requests, self._tokens):
            metric.remove_by_labels(labels)


class _Series:
    """The series of one version, looked up once: each request would do so again.

    They exist from the start: a rate over a missing one is nothing, not zero.
    """

    def __init__(
        self, requests: Counter, latency: Tallies, tokens: Counter, model: str, version: str
    ) -> None:
        self._requests = requests
        self._names = (model, version)
        self._by_status = {
            status: requests.labels(model, version, str(status)) for status in STATUSES
        }
        self.latency = latency.labels(model, version)
        self.tokens = {kind: tokens.labels(model, version, kind) for kind in _TYPES}

    def count(self, status: int) -> None:
        counted = self._by_status.get(status)
        (counted or self._requests.labels(*self._names, "other")).inc()
