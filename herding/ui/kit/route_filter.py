"""Closes the routes of Gradio that neither the page nor its client needs, and answers for those that fail."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from herding.errors import BROKEN

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

ROOT = "/gradio_api/"
NEEDED = frozenset(
    {"app_id", "call", "cancel", "file", "heartbeat", "info", "login_check", "queue", "reset", "run"}
    | {"startup-events", "theme.css", "upload", "user"}
)
"""First parts of the paths; `run` serves events without a queue, `upload` replies that uploads are not allowed."""

CLOSED = ("/monitoring", "/svelte/", "/pwa_icon/", "/login/")
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
            await _refuse(send, 404, "not_found", f"{scope['method']} {path} does not exist. See /docs for all paths.")
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
                await _refuse(send, 500, "internal_error", BROKEN)
            elif not ended:  # its last event has told the page
                await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _refuse(send: Any, status: int, kind: str, message: str) -> None:
    """Send an error in the form of the API."""
    error = {"type": kind, "message": message, "param": None, "request_id": None}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": error}).encode()})


def _route_path(scope: Scope) -> str:
    """Return the path below the root path of the app."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


def is_allowed(path: str) -> bool:
    """Return True if a path is needed, or not one of Gradio's."""
    if not path.startswith(ROOT):
        return not path.startswith(CLOSED)
    return path.removeprefix(ROOT).partition("/")[0].partition("=")[0] in NEEDED
