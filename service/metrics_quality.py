"""Metrics of how often models are right: as evaluated, and by labels that come later."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from service.package import Kind

# Labels over which the share of right ones is taken.
WINDOW = 1000
_UNKNOWN = "unknown"
_KINDS: dict[Kind, str] = {
    "classifier": "classifier", "text-generator": "text", "tabular": "tabular",
}  # fmt: skip


class QualityMetrics:
    """The accuracy of the version served, and what feedback says of each version kept."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._accuracy = Gauge(
            "model_accuracy",
            "Share of examples that a version gets right: held-out ones (source=evaluation), or"
            f" the last {WINDOW} that this replica got labels for (source=feedback).",
            ["model", "version", "kind", "source"],
            registry=registry,
        )
        self._labels = Gauge(
            "model_feedback_labels",
            f"Labels that the feedback's accuracy is taken over, {WINDOW} at most.",
            ["model", "version"],
            registry=registry,
        )
        self._total = Counter(
            "model_feedback_total",
            "Predictions that labels which came later said to be right or wrong.",
            ["model", "version", "outcome"],
            registry=registry,
        )
        self._served: dict[str, tuple[str, str]] = {}
        self._windows: dict[tuple[str, str], deque[bool]] = {}
        self._create(_UNKNOWN, _UNKNOWN)

    def served(self, model: str, version: str, kind: Kind, accuracy: float | None) -> None:
        """A version that is served from now on; ``accuracy`` is None if nobody measured it."""
        if accuracy is not None:
            self._served[model] = (version, _KINDS[kind])
            self._accuracy.labels(model, version, _KINDS[kind], "evaluation").set(accuracy)
        self.create(model, version, kind)

    def create(self, model: str, version: str, kind: Kind) -> None:
        """A version that labels may come for from now on."""
        if kind == "classifier" and (model, version) not in self._windows:
            self._windows[model, version] = deque(maxlen=WINDOW)
            self._labels.labels(model, version).set(0)
            self._create(model, version)

    def replaced(self, model: str) -> None:
        """Another version is about to take the place of the one served."""
        if model in self._served:
            self._accuracy.remove(model, *self._served.pop(model), "evaluation")

    def remove(self, model: str, version: str) -> None:
        """A version of which nobody asks any more."""
        labels = {"model": model, "version": version}
        self._windows.pop((model, version), None)
        for metric in (self._accuracy, self._labels, self._total):
            metric.remove_by_labels(labels)

    def judged(self, model: str, version: str, outcomes: Iterable[bool]) -> bool:
        """Count predictions as right or wrong; whether it was under their own version.

        Those of a version that has no series are counted under the unknown one.
        """
        window = self._windows.get((model, version))
        if window is None:
            self._count(_UNKNOWN, _UNKNOWN, outcomes)
            return False
        outcomes = tuple(outcomes)
        self._count(model, version, outcomes)
        window.extend(outcomes)
        if window:
            share = sum(window) / len(window)
            self._accuracy.labels(model, version, _KINDS["classifier"], "feedback").set(share)
            self._labels.labels(model, version).set(len(window))
        return True

    def _create(self, model: str, version: str) -> None:
        for outcome in ("right", "wrong"):
            self._total.labels(model, version, outcome)

    def _count(self, model: str, version: str, outcomes: Iterable[bool]) -> None:
        for right in outcomes:
            self._total.labels(model, version, "right" if right else "wrong").inc()
