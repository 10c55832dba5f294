"""OpenAI's chat API over whatever writes the texts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack, suppress
from typing import TypeVar

from fastapi import Depends, FastAPI, Request, Response
from starlette.responses import StreamingResponse

from service.api_groups import Group
from service.body import parse_body
from service.body_reader import BodyReader
from service.chat_answers import ChatCompletion, ModelCard, ModelList
from service.chat_docs import CHAT_RESPONSES, chat_body
from service.chat_problem import ChatProblemResponse
from service.chat_render import completion, events
from service.chat_schemas import ModelName
from service.chat_texts import Texts, Writer, whole
from service.errors import ClientGoneError, InvalidRequestError, ServiceError
from service.metrics import Metrics
from service.models import Named
from service.observed import answered_by
from service.predictor import Predictor

_T = TypeVar("_T")


def add_chat(
    app: FastAPI, texts: Texts, predictor: Predictor, bodies: BodyReader, metrics: Metrics
) -> None:
    """Serve /v1/chat/completions and /v1/models."""
    started = int(time.time())

    async def place(request: Request) -> AsyncIterator[None]:
        request.state.body = await bodies.read(request)
        # Left when the answer is sent or the client is gone: a stream holds it as long as it lasts.
        with predictor.admit(), ExitStack() as request.state.ends:
            yield

    @app.post(
        "/v1/chat/completions",
        response_model=ChatCompletion,
        responses=CHAT_RESPONSES,
        openapi_extra=chat_body(texts.request_schema),
        dependencies=[Depends(place)],
        description=texts.about,
        tags=[Group.CHAT],
        summary="Create a chat completion",
    )
    async def chat_completions(request: Request) -> Response:
        writer = _writer(texts, request)
        text = await _while_connected(request, writer.begin(request.state.ends))
        if writer.asked.stream:
            include_usage = writer.asked.include_usage()
            return StreamingResponse(
                events(text, metrics, request.scope, include_usage=include_usage),
                media_type="text/event-stream",
                headers={"Cache-Control": "no-cache"},
            )
        answer = completion(text, await _while_connected(request, whole(text, metrics)))
        return Response(answer.model_dump_json(), media_type="application/json")

    @app.get("/v1/models", tags=[Group.CHAT], summary="List text models")
    async def list_models() -> ModelList:
        """The models that write texts."""
        return ModelList(data=[card(named) for named in texts.all()])

    @app.get(
        "/v1/models/{model}",
        responses={status: {"model": ChatProblemResponse} for status in (404, 503)},
        tags=[Group.CHAT],
        summary="Get a text model",
    )
    async def get_model(model: str) -> ModelCard:
        """One of them."""
        return card(texts.find(model))

    def card(named: Named) -> ModelCard:
        return ModelCard(id=named.name, created=started, owned_by=texts.owner)


def _writer(texts: Texts, request: Request) -> Writer:
    """What answers the request, which is its model's even where it is refused."""
    body: bytes = request.state.body
    try:
        writer = texts.writer(body)
    except InvalidRequestError:
        with suppress(ServiceError):
            answered_by(request.scope, texts.find(parse_body(body, ModelName).model))
        raise
    answered_by(request.scope, writer.named)
    return writer


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
