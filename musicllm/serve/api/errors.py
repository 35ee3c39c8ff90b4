"""Errors as OpenAI's protocol has them: a status and one JSON object with a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from musicllm.errors import MusicLLMError, NotAvailableError
from musicllm.serve.desk import BusyError, ClosedError

RETRY = {"Retry-After": "5"}


class BadRequestError(MusicLLMError):
    """A request breaks a rule.

    Attributes:
        param: the field; None for the whole.
        status: of HTTP.
        code: OpenAI's word for the error, where it has one.
    """

    def __init__(
        self, message: str, param: str | None = None, status: int = 400, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.param = param
        self.status = status
        self.code = code


class LoadingError(NotAvailableError):
    """The model is still loading; try again shortly."""


def answer(
    status: int,
    message: str,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
    code: str | None = None,
) -> JSONResponse:
    """Return an error in OpenAI's form."""
    return JSONResponse(body(status, message, param, code), status, headers=dict(headers or {}))


def body(
    status: int, message: str, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """Return the object of an error."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def install(app: FastAPI) -> None:
    """Let an application answer its errors so."""

    @app.exception_handler(MusicLLMError)
    async def _of_ours(_: Request, error: MusicLLMError) -> JSONResponse:
        return of(error)

    @app.exception_handler(RequestValidationError)
    async def _of_a_body(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return answer(400, f"{place or 'the body'}: {first['msg']}", place or None)

    @app.exception_handler(HTTPException)
    async def _of_http(request: Request, error: HTTPException) -> JSONResponse:
        message = str(error.detail)
        if error.status_code == 404:
            message = f"there is no {request.url.path} here; there is {_paths(app)}"
        elif error.status_code == 405:
            message = f"{request.url.path} takes no {request.method}"
        return answer(error.status_code, message, headers=error.headers)

    @app.exception_handler(Exception)
    async def _of_a_bug(_: Request, error: Exception) -> JSONResponse:
        return answer(500, words_of(error))


def _paths(app: FastAPI) -> str:
    """Return the paths of the API."""
    paths = app.openapi()["paths"]
    return ", ".join(path for path in paths if path.startswith("/v1/") and "{" not in path)


def of(error: MusicLLMError) -> JSONResponse:
    """Return the answer to an error of ours."""
    status, headers = status_of(error)
    param, code = (error.param, error.code) if isinstance(error, BadRequestError) else (None, None)
    return answer(status, str(error), param, headers, code)


def body_of(error: Exception) -> dict[str, Any]:
    """Return the object of an error that comes within a stream."""
    if isinstance(error, MusicLLMError):
        return body(status_of(error)[0], str(error))
    return body(500, words_of(error))


def words_of(error: Exception) -> str:
    """Return what a client is told of a bug of ours."""
    return f"an error of the server itself ({type(error).__name__}); its log has more"


def status_of(error: MusicLLMError) -> tuple[int, Mapping[str, str]]:
    """Return the status of HTTP and further headers.

    `x-should-retry` is what OpenAI's clients follow: what will not change is not tried again.
    """
    if isinstance(error, BadRequestError):
        return error.status, {}
    if isinstance(error, BusyError):
        return 429, RETRY
    if isinstance(error, ClosedError | LoadingError):
        return 503, RETRY
    if isinstance(error, NotAvailableError):
        return 503, {"x-should-retry": "false"}
    return 400, {}
