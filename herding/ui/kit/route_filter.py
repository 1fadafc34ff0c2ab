"""Closes the routes of Gradio that neither the page nor its client needs, and answers its errors as the API does."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from herding.errors import BROKEN

if TYPE_CHECKING:
    from gradio.routes import App as GradioApp

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

ROOT = "/gradio_api/"
NEEDED = frozenset(
    {"app_id", "call", "cancel", "file", "heartbeat", "info", "login_check", "queue", "reset", "run"}
    | {"startup-events", "theme.css", "upload", "user"}
)
"""First parts of the paths; `run` serves events without a queue, `upload` replies that uploads are not allowed."""

CLOSED = ("/monitoring", "/svelte/", "/pwa_icon", "/login/")
"""Prefixes of paths outside ROOT."""


log = logging.getLogger(__name__)


class RouteFilter:
    """ASGI middleware: replies 404 to Gradio's deep links, proxy, code editor, recordings and monitoring.

    An exception in a route of Gradio becomes one line in the log, since any visitor can cause some.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = _route_path(scope)
        if not is_allowed(path):
            await _problem(404, "not_found", _UNKNOWN.format(scope["method"], path))(scope, receive, send)
            return
        started = ended = False

        async def send_noting(message: MutableMapping[str, Any]) -> None:
            nonlocal started, ended
            started = started or message["type"] == "http.response.start"
            ended = ended or (message["type"] == "http.response.body" and not message.get("more_body"))
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except Exception as error:
            cause = error.__cause__ or error
            details = log.isEnabledFor(logging.DEBUG)
            log.warning("page request failed (%r): %s", path, repr(cause)[:200], exc_info=details)
            if not started:
                await _problem(500, "internal_error", BROKEN)(scope, receive, send)
            elif not ended:  # its last event has told the page
                await send({"type": "http.response.body", "body": b"", "more_body": False})


_UNKNOWN = "{} {} does not exist. See /docs for all paths."
_OTHER_METHOD = "{} {} does not exist. This path has other methods."


def answer_unknown_paths(page: GradioApp, others: Sequence[BaseRoute]) -> None:
    """Answer paths and methods that neither the page nor the `others` have in the form of the API's errors."""

    async def handle(request: Request, error: Any) -> Response:
        asked = request.method, _route_path(request.scope)
        if any(route.matches(request.scope)[0] is Match.PARTIAL for route in others) or error.status_code == 405:
            return _problem(405, "invalid_request", _OTHER_METHOD.format(*asked))
        if error.status_code == 404 and (request.scope.get("endpoint") is page or not asked[1].startswith(ROOT)):
            return _problem(404, "not_found", _UNKNOWN.format(*asked))
        return await http_exception_handler(request, error)

    page.add_exception_handler(HTTPException, handle)


def _problem(status: int, kind: str, message: str) -> JSONResponse:
    detail = {"type": kind, "message": message, "param": None, "request_id": None}
    return JSONResponse({"error": detail}, status)


def _route_path(scope: Scope) -> str:
    """Return the path below the root path of the app."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


def is_allowed(path: str) -> bool:
    """Return True if a path is needed, or not one of Gradio's."""
    if not path.startswith(ROOT):
        return not path.startswith(CLOSED)
    return path.removeprefix(ROOT).partition("/")[0].partition("=")[0] in NEEDED
