"""OpenAI's chat API over the text generators that are served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from typing import TypeVar

from fastapi import Depends, FastAPI, Request, Response
from starlette.responses import StreamingResponse

from service.body import parse_body, read_body
from service.chat_answers import ChatCompletion, ModelCard, ModelList
from service.chat_docs import CHAT_BODY, CHAT_RESPONSES
from service.chat_render import completion, events
from service.chat_schemas import ChatRequest
from service.chat_turn import Turn
from service.errors import ClientGoneError
from service.metrics import Metrics
from service.models import Models, Served
from service.observed import answered_by
from service.package import Kind
from service.predictor import Predictor
from service.schemas import ProblemResponse
from service.settings import Settings

_KIND: Kind = "text-generator"
_T = TypeVar("_T")


def add_chat(
    app: FastAPI, settings: Settings, models: Models, predictor: Predictor, metrics: Metrics
) -> None:
    """Serve /v1/chat/completions and /v1/models."""
    started = int(time.time())

    async def place() -> AsyncIterator[None]:
        # Left when the answer is sent or the client is gone: a stream holds it as long as it lasts.
        with predictor.admit():
            yield

    @app.post(
        "/v1/chat/completions",
        response_model=ChatCompletion,
        responses=CHAT_RESPONSES,
        openapi_extra=CHAT_BODY,
        dependencies=[Depends(place)],
    )
    async def chat_completions(request: Request) -> Response:
        """Continue a text, in the shape of OpenAI's chat API.

        The model continues text and follows no instructions: its prompt is the content of all
        messages, joined by line breaks, whatever their roles.
        """
        body = await read_body(request, settings.max_body_bytes, settings.body_seconds)
        asked = parse_body(body, ChatRequest)
        served = models.get(asked.model, _KIND)
        answered_by(request.scope, served)
        turn = await _while_connected(request, Turn.begin(asked, served, predictor))
        if asked.stream:
            return StreamingResponse(
                events(turn, metrics, request.scope, include_usage=asked.include_usage()),
                media_type="text/event-stream",
                headers={"Cache-Control": "no-cache"},
            )
        answer = completion(turn, await _while_connected(request, turn.text(metrics)))
        return Response(answer.model_dump_json(), media_type="application/json")

    @app.get("/v1/models")
    async def list_models() -> ModelList:
        """The text generators that are served."""
        served = [model for model in models.all() if model.descriptor.kind == _KIND]
        return ModelList(data=[card(model) for model in served])

    @app.get(
        "/v1/models/{model}",
        responses={status: {"model": ProblemResponse} for status in (404, 422, 503)},
    )
    async def get_model(model: str) -> ModelCard:
        """One of them."""
        return card(models.get(model, _KIND))

    def card(served: Served) -> ModelCard:
        return ModelCard(id=served.name, created=started)


async def _while_connected(request: Request, work: Coroutine[None, None, _T]) -> _T:
    """What ``work`` returns. Raises ClientGoneError if the client hangs up, and cancels it."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_hung_up(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGoneError("the client hung up")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
