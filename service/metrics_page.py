"""GET /metrics."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from service.api_groups import Group
from service.endings import Endings

_OPENMETRICS = "application/openmetrics-text"


def add_metrics(app: FastAPI, registry: CollectorRegistry, endings: Endings) -> None:
    """Serve what ``registry`` has, in the format that the scraper asks for."""
    one_at_a_time = asyncio.Lock()

    @app.get(
        "/metrics",
        response_class=Response,
        tags=[Group.OPERATIONS],
        summary="Get metrics for Prometheus",
    )
    async def metrics_page(request: Request) -> Response:
        """Metrics in Prometheus' text format, or as OpenMetrics, with exemplars."""
        asked = _OPENMETRICS in request.headers.get("accept", "")
        # Nothing of what was sent goes further: it would come back, and not all of it can be read.
        encode, content_type = choose_encoder(f"{_OPENMETRICS};version=1.0.0" if asked else "")
        # In a thread, so that requests go on meanwhile; they are not held up by many scrapes.
        async with one_at_a_time:
            endings.tell()
            content = await asyncio.to_thread(encode, registry)
        return Response(content, media_type=content_type)
