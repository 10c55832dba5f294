"""Errors as HTTP answers, all of one shape but where a protocol has its own."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from service import chat_problem
from service.errors import ServiceError
from service.observed import observed_of
from service.schemas import Problem, ProblemResponse
from service.v2_schemas import PREFIX, V2Problem


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error, foreseen or not, with a ProblemResponse, or as the protocol has it."""

    @app.exception_handler(ServiceError)
    async def service_error(request: Request, error: ServiceError) -> JSONResponse:
        return answer_error(request, error)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        code = HTTPStatus(error.status_code).name.lower()
        answer = _answer(request, error.status_code, code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, __: Exception) -> JSONResponse:
        answer = _answer(request, 500, ServiceError.code, "the service failed on this request")
        # This answer does not pass the middleware, which adds them to all others.
        answer.raw_headers.extend(observed_of(request.scope).headers())
        return answer


def answer_error(request: Request, error: ServiceError) -> JSONResponse:
    """The answer to a request that ended with ``error``."""
    answer = _answer(request, error.status_code, error.code, error.message, error.field)
    answer.headers.update(error.headers)
    return answer


def _answer(
    request: Request, status: int, code: str, message: str, field: str | None = None
) -> JSONResponse:
    body: BaseModel
    path = request.scope["path"]
    if path.startswith(f"{chat_problem.PREFIX}/"):
        status = chat_problem.status_of(status)
        body = chat_problem.chat_problem(status, code, message, field)
    elif path.startswith(f"{PREFIX}/"):
        body = V2Problem(error=f"{field}: {message}" if field else message)
    else:
        body = ProblemResponse(error=Problem(code=code, message=message, field=field))
    return JSONResponse(body.model_dump(), status_code=status)
