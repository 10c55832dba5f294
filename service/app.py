"""The HTTP side: endpoints that translate, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse

from service.body import parse_body, read_body
from service.docs import add_docs
from service.handlers import add_error_handlers
from service.lifecycle import Lifecycle
from service.metrics import Metrics
from service.middleware import Observe
from service.model import Model
from service.predictor import Predictor
from service.schemas import (
    Health,
    PredictResponse,
    ProblemResponse,
    Readiness,
    request_schema,
)
from service.settings import Settings


def create_app(
    settings: Settings,
    model: Model,
    *,
    metrics: Metrics | None = None,
    lifecycle: Lifecycle | None = None,
) -> FastAPI:
    """The app around ``model``, which it loads in the background when it starts."""
    metrics = metrics or Metrics(settings.model_name)
    lifecycle = lifecycle or Lifecycle(model, metrics)
    schema = request_schema(settings.max_batch)
    pool = ThreadPoolExecutor(settings.inference_workers, thread_name_prefix="inference")
    predictor = Predictor(model, pool, max_in_flight=settings.max_in_flight)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(lifecycle.load())
        yield
        loading.cancel()
        pool.shutdown(wait=False, cancel_futures=True)

    app = FastAPI(
        title="Kindling model service",
        description="Recognises handwritten digits.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Observe, metrics=metrics, lifecycle=lifecycle)
    add_error_handlers(app)
    add_docs(app)

    @app.post(
        "/predict",
        response_model=PredictResponse,
        responses={status: {"model": ProblemResponse} for status in (408, 413, 422, 500, 503)},
        openapi_extra=_json_body(schema.model_json_schema()),
    )
    async def predict(request: Request) -> Response:
        """Classify images of handwritten digits."""
        with predictor.admit():
            body = await read_body(request, settings.max_body_bytes, settings.body_seconds)
            answer = await predictor.predict(parse_body(body, schema).instances)
        # Already of the documented type: FastAPI would validate every number again.
        return Response(answer.model_dump_json(), media_type="application/json")

    @app.get("/health")
    async def health() -> Health:
        """Whether the process is alive."""
        return Health()

    @app.get("/ready", response_model=Readiness, responses={503: {"model": Readiness}})
    async def ready() -> JSONResponse:
        """Whether requests should be sent here."""
        reason = lifecycle.reason_not_ready()
        state = Readiness(
            status="not ready" if reason else "ready",
            reason=reason,
            model=settings.model_name,
            version=model.metadata.version if model.metadata else None,
        )
        return JSONResponse(state.model_dump(), status_code=503 if reason else 200)

    @app.get("/metrics", response_class=Response)
    async def metrics_page() -> Response:
        """Metrics in Prometheus' text format."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app


def _json_body(schema: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema, "example": schema["examples"][0]}}
    return {"requestBody": {"required": True, "content": content}}
