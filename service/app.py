"""The HTTP side: endpoints that translate, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse

from service.chat import add_chat
from service.docs import add_docs
from service.handlers import add_error_handlers
from service.lifecycle import Lifecycle
from service.metrics import Metrics
from service.middleware import Observe
from service.models import Models
from service.predict import add_predict
from service.predictor import Predictor
from service.schemas import Health, Readiness
from service.settings import Settings
from service.sketches import add_sketches


def create_app(
    settings: Settings,
    models: Models,
    *,
    metrics: Metrics | None = None,
    lifecycle: Lifecycle | None = None,
    follow: Callable[[], Coroutine[None, None, None]] | None = None,
) -> FastAPI:
    """The app around ``models``; ``follow`` runs beside it and is cancelled when it stops."""
    metrics = metrics or Metrics()
    lifecycle = lifecycle or Lifecycle(models)
    pool = ThreadPoolExecutor(settings.inference_workers, thread_name_prefix="inference")
    predictor = Predictor(
        pool, max_in_flight=settings.max_in_flight, request_seconds=settings.request_seconds
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(follow()) if follow else None
        yield
        if following:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        pool.shutdown(wait=False, cancel_futures=True)

    app = FastAPI(
        title="Kindling model service",
        description="Serves the champions of a model registry.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Observe, metrics=metrics, lifecycle=lifecycle)
    add_error_handlers(app)
    add_docs(app)
    add_predict(app, settings, models, predictor)
    add_sketches(app, models)
    add_chat(app, settings, models, predictor, metrics)

    @app.get("/health")
    async def health() -> Health:
        """Whether the process is alive."""
        return Health()

    @app.get("/ready", response_model=Readiness, responses={503: {"model": Readiness}})
    async def ready() -> JSONResponse:
        """Whether requests should be sent here, and what is served."""
        state = lifecycle.readiness()
        return JSONResponse(state.model_dump(), status_code=503 if state.reason else 200)

    @app.get("/metrics", response_class=Response)
    async def metrics_page() -> Response:
        """Metrics in Prometheus' text format."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app
