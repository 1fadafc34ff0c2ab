"""Errors as HTTP answers: `{"error": {"type", "message", "param", "request_id"}}`."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

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
    """Answer every HerdingError that a route raises."""

    @app.exception_handler(HerdingError)
    async def answer(request: Request, error: HerdingError) -> JSONResponse:
        status = status_of(error)
        if status == 500:
            log.error("%s %s: %s", request.method, request.url.path, error)
        body = {"type": error.type, "message": error.message, "param": error.param, "request_id": error.request_id}
        headers = {"Retry-After": str(max(1, round(error.retry_after)))} if isinstance(error, LimitError) else None
        return JSONResponse({"error": body}, status_code=status, headers=headers)
