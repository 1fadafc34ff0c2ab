"""Errors as HTTP responses.

The native shape is `{"error": {"type", "message", "param", "request_id"}}`, with `step` for a chain. Under `/v1` it is
OpenAI's, `{"error": {"message", "type", "param", "code"}}`, with OpenAI's statuses.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.exceptions import HTTPException

from herding.api.http.request import ClientDisconnected, route_path
from herding.api.http.response import json_response
from herding.errors import (
    AccessError,
    AuthenticationError,
    ConfigError,
    ConflictError,
    DeadlineError,
    HerdingError,
    LimitError,
    NodeBusyError,
    NodeError,
    NoNodeError,
    NotFoundError,
    OverloadedError,
    PluginFailedError,
    ReportedError,
    ShuttingDownError,
    StatusError,
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
    (DeadlineError, 504),
    (NodeError, 502),
    (PluginFailedError, 502),
    (ShuttingDownError, 503),
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
_OWN_CREDENTIALS = (401, 407)
"""Statuses of a node about credentials of this installation, which no caller can mend."""

CLIENT_CLOSED_REQUEST = 499
"""The status that nginx logs for a client that left; the response is not sent."""

log = logging.getLogger(__name__)

Responses = dict[int | str, dict[str, Any]]
"""Descriptions of responses in OpenAPI, by status."""


def file_response(media_type: str, **schema: str) -> Responses:
    """Return the description of a response that is a file."""
    return {200: {"content": {media_type: {"schema": schema}}}}


class ErrorDetail(BaseModel):
    """An error of the native API. `message` says what happened and what to do."""

    type: str = Field(description="the kind of error, such as `not_found`")
    message: str
    param: str | None = Field(description="the field that is wrong")
    request_id: str | None = Field(description="the request in the history, if it was recorded")
    step: str | None = Field(
        default=None, description="the step of a chain that failed", exclude_if=lambda step: step is None
    )


class ErrorResponse(BaseModel):
    """The body of every error of the native API."""

    error: ErrorDetail


class OpenAIErrorDetail(BaseModel):
    """An error as OpenAI's clients read it."""

    message: str
    type: str
    param: str | None
    code: str | int | None


class OpenAIErrorResponse(BaseModel):
    """The body of every error of the OpenAI-compatible API."""

    error: OpenAIErrorDetail


@dataclass(frozen=True, slots=True)
class Problem:
    """An error before it has the shape of one of the APIs."""

    status: int
    type: str
    message: str
    param: str | None = None
    request_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    step: str | None = None
    reported: ReportedError | None = None
    """The words of a node that a client of the OpenAI-compatible API gets as they came."""

    def native(self) -> ErrorResponse:
        """Return the body of the native API."""
        detail = ErrorDetail(
            type=self.type, message=self.message, param=self.param, request_id=self.request_id, step=self.step
        )
        return ErrorResponse(error=detail)

    def openai(self) -> OpenAIErrorResponse:
        """Return the body of the OpenAI-compatible API."""
        kind = "server_error" if self.status >= 500 else _OPENAI_TYPES.get(self.status, "invalid_request_error")
        code = _OPENAI_CODES.get(self.type, self.type)
        if self.type == NotFoundError.type:
            code = "model_not_found" if self.param in ("model", "prompt") else "not_found"
        detail = OpenAIErrorDetail(message=self.message, type=kind, param=self.param, code=code)
        if (said := self.reported) is not None:
            detail.message, detail.type = said.message or self.message, said.type or kind
            detail.code = said.code
        return OpenAIErrorResponse(error=detail)

    @property
    def openai_status(self) -> int:
        """The HTTP status in the OpenAI-compatible API; one of a node stays."""
        return 400 if self.status == 422 and self.reported is None else self.status

    def response(self, request: Request) -> Response:
        """Return the HTTP response in the shape of the API that was called."""
        if not f"{route_path(request.scope)}/".startswith("/v1/"):
            return json_response(self.native(), self.status, self.headers)
        return json_response(self.openai(), self.openai_status, self.headers)


def status_of(error: HerdingError) -> int:
    """Return the HTTP status of an error: that of the node, where the request is at fault."""
    if isinstance(error, StatusError):
        if error.is_client_error and error.status not in _OWN_CREDENTIALS:
            return error.status
        return {503: 503, 504: 504, 529: 503}.get(error.status, 502)
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem_of(error: HerdingError) -> Problem:
    """Return an error with its HTTP status and headers."""
    status, wait, reported, headers = status_of(error), getattr(error, "retry_after", None), None, {}
    if isinstance(error, StatusError):
        headers = dict(error.headers)
        reported = error.reported if error.is_client_error and status < 500 else None
        wait = 1.0 if wait is None and isinstance(error, NodeBusyError) else wait
    if wait is not None:
        headers["Retry-After"] = str(max(1, ceil(wait)))
    return Problem(status, error.type, error.message, error.param, error.request_id, headers, error.step, reported)


def error_responses(*examples: HerdingError, openai: bool = False) -> Responses:
    """Describe the errors of an operation in OpenAPI: each of `examples` under its status, and all others."""
    schema = {"$ref": f"#/components/schemas/{(OpenAIErrorResponse if openai else ErrorResponse).__name__}"}
    described: Responses = {
        "4XX": _describe("The request cannot be served as it is", {"schema": schema}),
        "5XX": _describe("No node or no database could serve the request", {"schema": schema}),
    }
    for error in (AuthenticationError("This token is not valid."), *examples):
        problem = problem_of(error)
        status = problem.openai_status if openai else problem.status
        example = (problem.openai() if openai else problem.native()).model_dump()
        described[status] = _describe(HTTPStatus(status).phrase, {"schema": schema, "example": example})
    return described


def _describe(description: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": content}}


def error_schemas() -> dict[str, Any]:
    """Return the JSON schemas that the descriptions of errors refer to, by name."""
    mode: JsonSchemaMode = "serialization"
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(ErrorResponse, mode), (OpenAIErrorResponse, mode)]
    _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")
    found: dict[str, Any] = schemas["$defs"]
    return found


def install(app: FastAPI) -> None:
    """Answer every HerdingError of a route, and every refusal of the framework, in the shape of the API."""

    @app.exception_handler(HerdingError)
    async def handle_error(request: Request, error: HerdingError) -> Response:
        problem = problem_of(error)
        if problem.status == 500:
            log.error("%s %s: %s", request.method, request.scope["path"], error)
        return problem.response(request)

    @app.exception_handler(RequestValidationError)
    async def handle_invalid_request(request: Request, error: RequestValidationError) -> Response:
        message, param = _describe_fault(error)
        if param is None and "json" not in request.headers.get("content-type", "").lower():
            message = "Send JSON, with the header 'Content-Type: application/json'."
        return Problem(422, UserError.type, message, param).response(request)

    @app.exception_handler(HTTPException)
    async def handle_http_error(request: Request, error: HTTPException) -> Response:
        kind = NotFoundError.type if error.status_code == 404 else UserError.type
        words = _unreadable(error.__cause__) or str(error.detail)
        return Problem(error.status_code, kind, words, headers=error.headers or {}).response(request)

    @app.exception_handler(ClientDisconnected)
    async def handle_disconnect(_: Request, __: ClientDisconnected) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)


def _unreadable(cause: BaseException | None) -> str | None:
    """Return why the framework could not parse a body, None for any other refusal: it does not say that itself."""
    match cause:
        case UnicodeError():
            return "The body is not JSON: it is not UTF-8."
        case RecursionError():
            return "The body is nested too deeply."
        case ValueError():
            return "The body is not JSON: it has a number with too many digits."
    return None


def _describe_fault(error: RequestValidationError) -> tuple[str, str | None]:
    """Return a message about the first fault of a request, and the path of the field that has it.

    A value that may have several forms has a fault for each of them. The form that it comes closest to is described.
    """
    faults = error.errors()
    first = faults[0]
    if first["type"] == "json_invalid":
        return f"The body is not JSON: {first['ctx']['error']} (at character {first['loc'][-1] + 1}).", None
    if len(_path_of(first, error.body)) < len(first["loc"]) - 1:
        forms = first["loc"][:-1]
        first = max((one for one in faults if one["loc"][: len(forms)] == forms), key=lambda one: len(one["loc"]))
    param = ".".join(str(part) for part in _path_of(first, error.body)) or None
    return f"{param or 'The request'}: {first['msg'].removeprefix('Value error, ')}.", param


def _path_of(fault: Any, body: Any) -> list[int | str]:
    """Return the path of a fault in the body, without the names that the validator gives to forms of a value."""
    path: list[int | str] = list(fault["loc"][1:])
    if fault["loc"][0] != "body":
        return path
    found: list[int | str] = []
    for part in path:
        inside = isinstance(body, dict) and part in body
        if inside or (isinstance(body, list) and isinstance(part, int) and part < len(body)):
            body = body[part]
        elif part != path[-1] or fault["type"] != "missing":
            continue
        found.append(part)
    return found
