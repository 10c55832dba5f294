"""uvicorn with a drain: after SIGTERM it is not ready, but serves on for a while."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from service.connections import bounded_protocol
from service.lifecycle import Lifecycle
from service.metrics import Metrics
from service.settings import Settings


class DrainingServer(uvicorn.Server):
    """Turns the first SIGTERM into a drain of ``drain_seconds``; a second one cuts it short."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, drain_seconds: float) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._drain_seconds = drain_seconds
        self._exit_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by uvicorn on SIGTERM and SIGINT."""
        if sig == signal.SIGTERM and not self._lifecycle.draining:
            self._lifecycle.drain()
            self._exit_at = time.monotonic() + self._drain_seconds
            return
        self._lifecycle.drain()
        self.force_exit = self.should_exit
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second; true ends the accepting of connections."""
        if self._exit_at is not None and time.monotonic() >= self._exit_at:
            self.should_exit = True
        return await super().on_tick(counter)


def create_server(
    app: FastAPI, settings: Settings, lifecycle: Lifecycle, metrics: Metrics
) -> DrainingServer:
    """A server for ``app`` that drains and bounds its connections as ``settings`` say."""
    config = create_config(
        app,
        settings,
        metrics,
        host=settings.listen_host,
        port=settings.listen_port,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    return DrainingServer(config, lifecycle, settings.drain_seconds)


def create_config(
    app: FastAPI, settings: Settings, metrics: Metrics, **options: Any
) -> uvicorn.Config:
    """What all servers of the process have in common, and ``options``."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=bounded_protocol(settings, metrics),
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        # Longer than a load balancer's, so that it is not the server that hangs up first.
        timeout_keep_alive=75,
        **options,
    )
