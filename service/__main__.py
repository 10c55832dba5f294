"""``python -m service``: put the parts together and serve until told to stop."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

if __name__ == "__main__":
    # Process 1 of a container ignores SIGTERM unless it handles it, and uvicorn handles it only
    # seconds later. SystemExit would not do: raised in a callback of an import, it is dropped.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

from service.app import create_app
from service.copies import Copies
from service.endings import Endings
from service.errors import SettingsInvalidError
from service.fetch import Fetcher
from service.follower import Follower
from service.intake import Intake
from service.lifecycle import Lifecycle
from service.logs import configure_logs
from service.metrics import Metrics
from service.metrics_server import MetricsServer, create_metrics_app
from service.model_follower import Following
from service.models import Models
from service.registry import Registry
from service.server import DrainingServer, create_server
from service.settings import Settings, load_settings

if TYPE_CHECKING:
    from service.tracing import Tracing


def assemble(settings: Settings) -> DrainingServer:
    """The server and all that it needs, not yet started."""
    models = Models(settings.models)
    metrics = Metrics(settings.models)
    lifecycle = Lifecycle(models, others=settings.others)
    copies = Copies(settings.cache_dir, max_bytes=settings.max_cache_bytes)
    following = Following(
        models,
        copies,
        Intake(copies, settings),
        metrics,
        alias=settings.model_alias,
        fallback_alias=settings.fallback_alias,
        poll_seconds=settings.poll_seconds,
    )
    follower = Follower(
        create_registry(settings), following, lifecycle=lifecycle, others=settings.others
    )
    endings = Endings(metrics)
    beside = [follower.run]
    if settings.metrics_port:
        observing = create_metrics_app(models, metrics, lifecycle, endings)
        beside.append(MetricsServer(observing, settings, metrics).beside)
    tracing = None
    if settings.otlp_endpoint:
        tracing, export = create_tracing(settings, metrics)
        beside.append(export)
    app = create_app(
        settings,
        models,
        metrics=metrics,
        lifecycle=lifecycle,
        beside=beside,
        tracing=tracing,
        endings=endings,
    )
    return create_server(app, settings, lifecycle, metrics)


def create_tracing(
    settings: Settings, metrics: Metrics
) -> tuple[Tracing, Callable[[], Coroutine[None, None, None]]]:
    """What traces requests, and what is to run beside to export the traces."""
    # Imported here: what does not trace has no use for the libraries.
    from service.trace_export import Exporter, TraceMetrics
    from service.trace_sampling import Sampling
    from service.trace_sinks import create_sink
    from service.tracing import Tracing

    counts = TraceMetrics(metrics.registry)
    exporter = Exporter(create_sink(settings), counts)
    sampling = Sampling(
        settings.trace_sample_ratio, settings.trace_max_per_second, counts.limited.inc
    )
    return Tracing(exporter.add, sampling), exporter.run


def create_registry(settings: Settings) -> Registry | None:
    """The registry that is configured, if any."""
    if not settings.registry_uri:
        return None
    fetcher = Fetcher(
        settings.registry_uri,
        username=settings.registry_username,
        password=settings.registry_password.get_secret_value(),
        seconds=settings.registry_seconds,
    )
    return Registry(fetcher, max_model_bytes=settings.max_model_bytes)


def main() -> int:
    """Serve; returns the exit code: 0 after a drain, 2 for bad settings."""
    try:
        settings = load_settings()
        configure_logs(settings.log_level)
        # Requests leave few cycles behind: to look for them after each 700 objects, as Python does
        # left alone, takes a tenth of the processor time.
        gc.set_threshold(5_000, 20, 20)
        server = assemble(settings)
    except SettingsInvalidError as error:
        print(error.message, file=sys.stderr)
        return 2
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
