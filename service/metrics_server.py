"""A second port for those who observe the service: /metrics and /sketches."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from fastapi import FastAPI

from service.endings import Endings
from service.errors import SettingsInvalidError
from service.handlers import add_error_handlers
from service.lifecycle import Lifecycle
from service.metrics import Metrics
from service.metrics_page import add_metrics
from service.middleware import Observe
from service.models import Models
from service.server import create_config
from service.settings import PREFIX, Settings
from service.sketches import add_sketches

_log = structlog.stdlib.get_logger(__name__)
# Scrapers and drift checks are few.
_MAX_CONNECTIONS = 64


def create_metrics_app(
    models: Models, metrics: Metrics, lifecycle: Lifecycle, endings: Endings
) -> FastAPI:
    """The app of that port, which has nothing else."""
    app = FastAPI(openapi_url=None, telemetry={"tracing": False, "metrics": False, "logs": False})
    app.add_middleware(Observe, lifecycle=lifecycle, endings=endings, tracing=None)
    add_error_handlers(app)
    add_metrics(app, metrics.registry, endings)
    add_sketches(app, models)
    return app


class MetricsServer(uvicorn.Server):
    """Serves ``app`` at ``metrics_port``, which it takes at once, for as long as ``beside`` runs.

    Raises SettingsInvalidError if it cannot have the port.
    """

    def __init__(self, app: FastAPI, settings: Settings, metrics: Metrics) -> None:
        self._socket = _listen(settings.listen_host, settings.metrics_port)
        bounds = settings.model_copy(update={"max_connections": _MAX_CONNECTIONS})
        super().__init__(
            create_config(app, bounds, metrics, lifespan="off", timeout_graceful_shutdown=1)
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Called by uvicorn; signals are the first server's."""
        yield

    async def beside(self) -> None:
        """Serve until cancelled."""
        serving = asyncio.create_task(self.serve([self._socket]))
        try:
            await asyncio.shield(serving)
        except Exception:
            # Whoever observes the service sees that it is down; it goes on for its clients.
            _log.exception("the server of metrics failed")
            raise
        finally:
            self.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        # Its own text repeats the address.
        reason = os.strerror(error.errno or 0)
        raise SettingsInvalidError(
            f"{PREFIX}_METRICS_PORT: {host} port {port} cannot be listened on: {reason}"
        ) from None
