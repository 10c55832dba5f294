"""The HTTP side: endpoints that translate, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.responses import JSONResponse

from service.api_groups import TAGS, Group
from service.body_reader import BodyReader
from service.chat import add_chat
from service.chat_texts import Texts
from service.chat_turn import LocalTexts
from service.direct import Direct, Endpoint
from service.docs import add_docs
from service.endings import Endings
from service.feedback import add_feedback
from service.handlers import add_error_handlers
from service.invocations import add_invocations
from service.lifecycle import Lifecycle
from service.metrics import Metrics
from service.metrics_page import add_metrics
from service.middleware import Observe
from service.models import Models
from service.predict import add_predict
from service.prediction_ids import PredictionIds
from service.predictor import Predictor
from service.schemas import Health, Readiness
from service.settings import Settings
from service.sketches import add_sketches
from service.v2 import add_v2

if TYPE_CHECKING:
    from service.tracing import Tracing


def create_app(
    settings: Settings,
    models: Models,
    *,
    metrics: Metrics | None = None,
    lifecycle: Lifecycle | None = None,
    beside: Sequence[Callable[[], Coroutine[None, None, None]]] = (),
    tracing: Tracing | None = None,
    endings: Endings | None = None,
) -> FastAPI:
    """The app around ``models``; ``beside`` runs beside it and is cancelled when it stops."""
    metrics = metrics or Metrics()
    lifecycle = lifecycle or Lifecycle(models)
    endings = endings or Endings(metrics)
    pool = ThreadPoolExecutor(settings.inference_workers, thread_name_prefix="inference")
    predictor = Predictor(
        pool,
        metrics,
        workers=settings.inference_workers,
        max_rows=settings.max_batch,
        max_in_flight=settings.max_in_flight,
        request_seconds=settings.request_seconds,
    )
    bodies = BodyReader(
        max_bytes=settings.max_body_bytes,
        max_total_bytes=settings.max_reading_bytes,
        timeout_seconds=settings.body_seconds,
    )
    key = settings.feedback_key.get_secret_value()
    ids = PredictionIds(key, days=settings.feedback_days) if key else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(run()) for run in beside]
        yield
        # What sends the traces is one of the tasks, and sends what it has as it ends.
        endings.tell()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        pool.shutdown(wait=False, cancel_futures=True)

    app = FastAPI(
        title="Kindling model service",
        description="Serves the champions of a model registry.",
        openapi_url=None,
        openapi_tags=TAGS,
        docs_url=None,
        redoc_url=None,
        # Requests are observed by Observe. The framework would ask each whether it should, too.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        lifespan=lifespan,
    )
    endpoints: dict[tuple[str, str], Endpoint] = {}
    app.add_middleware(Direct, endpoints=endpoints)
    app.add_middleware(Observe, lifecycle=lifecycle, endings=endings, tracing=tracing)
    add_error_handlers(app)
    add_docs(app)
    if not settings.metrics_port:
        add_metrics(app, metrics.registry, endings)
        add_sketches(app, models)
    endpoints["POST", "/predict"] = add_predict(app, settings, models, predictor, bodies, ids)
    endpoints["POST", "/invocations"] = add_invocations(app, settings, models, predictor, bodies)
    add_v2(app, settings, models, predictor, bodies, lifecycle)
    token = settings.feedback_token.get_secret_value()
    add_feedback(app, predictor, bodies, ids, metrics, token=token)
    texts = create_texts(settings, models, predictor, metrics)
    add_chat(app, texts, predictor, bodies, metrics)

    @app.get("/health", tags=[Group.OPERATIONS], summary="Check liveness")
    async def health() -> Health:
        """Whether the process is alive."""
        return Health()

    @app.get(
        "/ready",
        response_model=Readiness,
        responses={503: {"model": Readiness}},
        tags=[Group.OPERATIONS],
        summary="Check readiness, and see what is served",
    )
    async def ready() -> JSONResponse:
        """Whether requests should be sent here, and what is served."""
        state = lifecycle.readiness()
        return JSONResponse(state.model_dump(), status_code=503 if state.reason else 200)

    return app


def create_texts(
    settings: Settings, models: Models, predictor: Predictor, metrics: Metrics
) -> Texts:
    """What writes the texts of chats: the upstream if there is one, else our own generators."""
    if not settings.upstream_url.get_secret_value():
        return LocalTexts(models, predictor)
    # Imported here: who has no upstream has no use for the library.
    from service.upstream import Upstream

    upstream = Upstream(settings, predictor)
    metrics.forwarded(upstream.named.name, upstream.named.version)
    return upstream
