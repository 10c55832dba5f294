"""``python -m drift``: put the parts together and check until told to stop."""

from __future__ import annotations

import os
import signal
import sys
import threading

if __name__ == "__main__":
    # Process 1 of a container ignores SIGTERM unless it handles it, and the imports take a second.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

import structlog

from drift.errors import SettingsInvalidError
from drift.logs import configure_logs
from drift.metrics import Metrics
from drift.monitor import Monitor
from drift.replicas import Replicas
from drift.reporter import Reporter
from drift.settings import Settings, load_settings
from drift.tracking import Tracking
from drift.web import create_server

_log = structlog.get_logger()
_LAST_CHECK_SECONDS = 10


def assemble(settings: Settings) -> tuple[Monitor, Metrics]:
    """The monitor and all that it needs, not yet started."""
    tracking = Tracking(
        settings.registry_uri,
        username=settings.registry_username,
        password=settings.registry_password.get_secret_value(),
        experiment=settings.experiment,
        seconds=settings.timeout_seconds,
    )
    metrics = Metrics()
    monitor = Monitor(
        Replicas(settings.service_host, settings.service_port, seconds=settings.timeout_seconds),
        Reporter(tracking, interval=settings.report_interval_seconds, kept=settings.reports_kept),
        metrics,
        interval=settings.interval_seconds,
        minimum_rows=settings.minimum_rows,
    )
    return monitor, metrics


def main() -> int:
    """Check until SIGTERM or SIGINT; returns the exit code: 2 for bad settings."""
    try:
        settings = load_settings()
    except SettingsInvalidError as error:
        print(error.message, file=sys.stderr)
        return 2
    configure_logs(settings.log_level)
    monitor, metrics = assemble(settings)
    server = create_server(settings.listen_host, settings.listen_port, monitor, metrics)
    checking = threading.Thread(target=monitor.run, name="monitor", daemon=True)
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    threading.Thread(target=server.serve_forever, name="web", daemon=True).start()
    checking.start()
    _log.info("started", port=server.server_port, service=settings.service_host)
    told.wait()
    monitor.stop()
    # What waits for an answer may take longer than one wants to wait for it.
    checking.join(_LAST_CHECK_SECONDS)
    server.shutdown()
    _log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
