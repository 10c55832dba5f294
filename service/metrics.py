"""The service's Prometheus metrics, in a registry of their own."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

# Whatever happens, no other value of `status` is exported.
STATUSES = frozenset({200, 405, 408, 413, 422, 499, 500, 503})
# A refusal takes no time worth knowing, and many of them would hide how slow the rest are.
_TIMED = frozenset({200, 500})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counts and times of prediction requests, the model's accuracy, requests in flight."""

    def __init__(self, model_name: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._model_name = model_name
        self._requests = Counter(
            "llm_requests_total",
            "Prediction requests answered, by HTTP status.",
            ["model", "status"],
            registry=self.registry,
        )
        self._latency = Histogram(
            "llm_request_latency_seconds",
            "Time from the request's head to the end of the answer, of requests not refused.",
            ["model"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._accuracy = Gauge(
            "model_accuracy",
            "Share of held-out rows that the served model gets right.",
            ["model", "version"],
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "http_requests_in_flight",
            "Requests being answered now; probes and scrapes are not counted.",
            registry=self.registry,
        )
        # Series that exist from the start: a rate over a missing one is nothing, not zero.
        for status in STATUSES:
            self._requests.labels(model_name, str(status))
        self._latency.labels(model_name)

    def prediction_answered(self, status: int, seconds: float) -> None:
        """Count one answered prediction request, and time it unless it was refused."""
        label = str(status) if status in STATUSES else "other"
        self._requests.labels(self._model_name, label).inc()
        if status in _TIMED:
            self._latency.labels(self._model_name).observe(seconds)

    def model_served(self, version: str, accuracy: float) -> None:
        """Publish the accuracy of the model now served; an earlier version's series goes."""
        self._accuracy.clear()
        self._accuracy.labels(self._model_name, version).set(accuracy)
