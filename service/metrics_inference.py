"""Metrics of models at work: how long requests wait for one, and how long it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Gauge

from service.tallies import Tallies, Tally

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


class InferenceMetrics:
    """One observation for each run of a model: a batch of rows, or a token of a text."""

    def __init__(self, registry: CollectorRegistry, models: Sequence[str]) -> None:
        self._depth = Gauge(
            "inference_queue_depth",
            "Requests that wait for a run of a model to begin.",
            registry=registry,
        )
        self._queue = Tallies(
            "inference_queue_seconds",
            "Time that a request waited for a run of a model to begin.",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._rows = Tallies(
            "inference_batch_size",
            "Rows that a run of a model took.",
            ["model"],
            buckets=_ROWS,
            registry=registry,
        )
        self._seconds = Tallies(
            "inference_seconds",
            "Time that a run of a model took.",
            ["model", "version"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._by_model = {name: self._of_model(name) for name in models}
        self._by_version: dict[tuple[str, str], Tally] = {}

    def watch(self, waiting: Callable[[], float]) -> None:
        """Ask ``waiting`` for the depth of the queue at each scrape."""
        self._depth.set_function(waiting)

    def create(self, model: str, version: str) -> None:
        """A version whose runs are timed from now on."""
        if model not in self._by_model:
            self._by_model[model] = self._of_model(model)
        self._by_version[model, version] = self._seconds.labels(model, version)

    def remove(self, model: str, version: str) -> None:
        """A version of which nobody asks any more."""
        del self._by_version[model, version]
        self._seconds.remove(model, version)

    def gone(self, model: str) -> None:
        """A model of which nobody asks any more."""
        if self._by_model.pop(model, None):
            self._queue.remove(model)
            self._rows.remove(model)

    def ran(
        self,
        model: str,
        version: str,
        *,
        waits: Sequence[float],
        rows: int = 0,
        seconds: float = 0.0,
    ) -> None:
        """Count one run, and the seconds that each of its requests waited for it.

        ``seconds`` of 0 is one that never came.
        """
        if (of_model := self._by_model.get(model)) is None:
            # It is gone since.
            return
        waited, of_rows = of_model
        waited.observe(*waits)
        timed = self._by_version.get((model, version))
        if seconds and timed:
            of_rows.observe(rows)
            timed.observe(seconds)

    def _of_model(self, model: str) -> tuple[Tally, Tally]:
        return self._queue.labels(model), self._rows.labels(model)
