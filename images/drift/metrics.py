"""The Prometheus metrics, in a registry of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from drift.findings import Finding
from drift.sketches import Merged

# When each series began: as many lines again, which nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]

PREDICTION = "prediction"
_VERSION = ["model", "version"]


class Metrics(Collector):
    """The latest check as series; what it did not find has none."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._failures = Counter(
            "model_drift_failures_total",
            "Calls to a replica or the registry that failed.",
            registry=self.registry,
        )
        self._check_failures = Gauge(
            "model_drift_check_failures",
            "Calls that failed in the latest check; 0 while no replica is ready.",
            registry=self.registry,
        )
        self._families: list[Metric] = []
        self.registry.register(self)

    def ended(self, failures: int) -> None:
        """Export that a check ended, in which so many calls failed."""
        self._failures.inc(failures)
        self._check_failures.set(failures)

    def checked(self, versions: Sequence[Merged], findings: Sequence[Finding], now: float) -> None:
        """Replace all series: samples of each version, distances of those that were compared."""
        samples = GaugeMetricFamily(
            "model_drift_samples", "Recent rows that were counted.", labels=_VERSION
        )
        psi, ks = (
            GaugeMetricFamily(name, text, labels=[*_VERSION, "feature"])
            for name, text in (
                ("model_drift_psi", "Population stability index against the training data."),
                ("model_drift_ks", "Kolmogorov-Smirnov statistic against the training data."),
            )
        )
        checked = GaugeMetricFamily(
            "model_drift_checked_timestamp_seconds", "When replicas were last compared.", now
        )
        for version in versions:
            samples.add_metric([version.model, version.version], version.rows)
        for finding in findings:
            named = [(each.feature.name, each) for each in finding.features]
            for name, each in (*named, (PREDICTION, finding.prediction)):
                labels = [finding.merged.model, finding.merged.version, name]
                psi.add_metric(labels, each.psi)
                ks.add_metric(labels, each.ks.statistic)
        # At once: a scrape sees one check or the other.
        self._families = [samples, psi, ks, checked]

    def collect(self) -> Iterator[Metric]:
        """What the library calls."""
        yield from self._families
