"""Errors as HTTP answers.

The native shape is `{"error": {"type", "message", "param", "request_id"}}`; under `/v1` it is OpenAI's,
`{"error": {"message", "type", "param", "code"}}`, with OpenAI's statuses.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from herding.api.http.disconnect import ClientDisconnected
from herding.api.http.reply import reply
from herding.errors import (
    AccessError,
    AuthenticationError,
    BusyNodeError,
    ConfigError,
    ConflictError,
    DeadlineError,
    HerdingError,
    LimitError,
    NodeError,
    NoNodeError,
    NotFoundError,
    OverloadedError,
    StoreError,
    UserError,
)

_STATUS: list[tuple[type[HerdingError], int]] = [
    (NotFoundError, 404),
    (ConflictError, 409),
    (UserError, 422),
    (AuthenticationError, 401),
    (AccessError, 403),
    (OverloadedError, 503),
    (LimitError, 429),
    (NoNodeError, 503),
    (BusyNodeError, 503),
    (DeadlineError, 504),
    (NodeError, 502),
    (StoreError, 503),
    (ConfigError, 503),
]
_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_OPENAI_CODES = {
    "invalid_request": None,
    "unauthorized": "invalid_api_key",
    "forbidden": "permission_denied",
    "limit_reached": "rate_limit_exceeded",
    "queue_full": "rate_limit_exceeded",
    "context_length": "context_length_exceeded",
}
CLIENT_LEFT = 499
"""The status that nginx uses for it; nobody reads the answer."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, before it has a shape."""

    status: int
    type: str
    message: str
    param: str | None = None
    request_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def native(self) -> dict[str, Any]:
        """The body of the native API."""
        body = {"type": self.type, "message": self.message, "param": self.param, "request_id": self.request_id}
        return {"error": body}

    def openai(self) -> dict[str, Any]:
        """The body that OpenAI's clients understand."""
        kind = "server_error" if self.status >= 500 else _OPENAI_TYPES.get(self.status, "invalid_request_error")
        code = _OPENAI_CODES.get(self.type, self.type)
        if self.type == NotFoundError.type:
            code = "model_not_found" if self.param in ("model", "prompt") else "not_found"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": code}}

    def answer(self, request: Request) -> Response:
        """The HTTP answer, in the shape of the API that was asked."""
        if not f"{request.scope['path']}/".startswith("/v1/"):
            return reply(self.native(), self.status, self.headers)
        return reply(self.openai(), 400 if self.status == 422 else self.status, self.headers)


def status_of(error: HerdingError) -> int:
    """The HTTP status for an error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem_of(error: HerdingError) -> Problem:
    """The problem that an error is."""
    wait = getattr(error, "retry_after", None)
    headers = {} if wait is None else {"Retry-After": str(max(1, ceil(wait)))}
    return Problem(status_of(error), error.type, error.message, error.param, error.request_id, headers)


def answer_to(request: Request, error: HerdingError) -> Response:
    """The HTTP answer to an error that a route raised."""
    problem = problem_of(error)
    if problem.status == 500:
        log.error("%s %s: %s", request.method, request.scope["path"], error)
    return problem.answer(request)


def nobody_listens() -> Response:
    """The HTTP answer for the record, where the caller has left."""
    return Response(status_code=CLIENT_LEFT)


def install(app: FastAPI) -> None:
    """Answer every HerdingError that a route raises, and what the framework itself refuses, in one shape."""

    @app.exception_handler(HerdingError)
    async def answer(request: Request, error: HerdingError) -> Response:
        return answer_to(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        message, param = _told(error)
        if param is None and not _is_json(request):
            message = "Send JSON, with the header 'Content-Type: application/json'."
        return Problem(422, UserError.type, message, param).answer(request)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        kind = NotFoundError.type if error.status_code == 404 else UserError.type
        return Problem(error.status_code, kind, str(error.detail), headers=error.headers or {}).answer(request)

    @app.exception_handler(ClientDisconnected)
    async def left(_: Request, __: ClientDisconnected) -> Response:
        return nobody_listens()


def _told(error: RequestValidationError) -> tuple[str, str | None]:
    """What is wrong with a request, and with which part of it: the first fault that was found.

    A value that may have several forms has a fault for each of them; that of the form it comes closest to is told.
    """
    faults = error.errors()
    first = faults[0]
    if first["type"] == "json_invalid":
        return f"The body is not JSON: {first['ctx']['error']} (at character {first['loc'][-1] + 1}).", None
    if len(_place(first, error.body)) < len(first["loc"]) - 1:
        forms = first["loc"][:-1]
        first = max((one for one in faults if one["loc"][: len(forms)] == forms), key=lambda one: len(one["loc"]))
    param = ".".join(str(part) for part in _place(first, error.body)) or None
    return f"{param or 'The request'}: {first['msg'].removeprefix('Value error, ')}.", param


def _place(fault: Any, body: Any) -> list[int | str]:
    """Where a fault is, without what only the validator knows: the names of the forms that a value may have."""
    path: list[int | str] = list(fault["loc"][1:])
    if fault["loc"][0] != "body":
        return path
    place: list[int | str] = []
    for part in path:
        inside = isinstance(body, dict) and part in body
        if inside or (isinstance(body, list) and isinstance(part, int) and part < len(body)):
            body = body[part]
        elif part != path[-1] or fault["type"] != "missing":
            continue
        place.append(part)
    return place


def _is_json(request: Request) -> bool:
    return "json" in request.headers.get("content-type", "").lower()
