"""Errors as HTTP answers: `{"error": {"type", "message", "param", "request_id"}}`."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from herding.errors import (
    AccessError,
    DeadlineError,
    HerdingError,
    LimitError,
    NodeError,
    NoNodeError,
    NotFoundError,
    StoreError,
    UserError,
)

_STATUS: list[tuple[type[HerdingError], int]] = [
    (NotFoundError, 404),
    (UserError, 422),
    (AccessError, 403),
    (LimitError, 429),
    (NoNodeError, 503),
    (DeadlineError, 504),
    (NodeError, 502),
    (StoreError, 503),
]

log = logging.getLogger(__name__)


def status_of(error: HerdingError) -> int:
    """The HTTP status for an error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def install(app: FastAPI) -> None:
    """Answer every HerdingError that a route raises, and what the framework itself refuses, in one shape."""

    @app.exception_handler(HerdingError)
    async def answer(request: Request, error: HerdingError) -> JSONResponse:
        status = status_of(error)
        if status == 500:
            log.error("%s %s: %s", request.method, request.url.path, error)
        headers = {"Retry-After": str(max(1, round(error.retry_after)))} if isinstance(error, LimitError) else None
        return _answer(status, error.type, error.message, error.param, error.request_id, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"][1:]) or None
        return _answer(422, UserError.type, f"{param or 'The request'}: {first['msg']}.", param)

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        kind = NotFoundError.type if error.status_code == 404 else UserError.type
        return _answer(error.status_code, kind, str(error.detail), headers=error.headers)


def _answer(
    status: int,
    type: str,
    message: str,
    param: str | None = None,
    request_id: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = {"type": type, "message": message, "param": param, "request_id": request_id}
    return JSONResponse({"error": body}, status_code=status, headers=headers)
