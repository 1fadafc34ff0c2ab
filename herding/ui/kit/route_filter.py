"""Of Gradio's own routes, only those that the page and Gradio's client need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

ROOT = "/gradio_api/"
NEEDED = frozenset(
    {"app_id", "call", "cancel", "file", "heartbeat", "info", "login_check", "queue", "reset", "run"}
    | {"startup-events", "theme.css", "upload", "user"}
)
"""The first part of the paths; `run` is for events without a queue, `upload` answers that nothing may be uploaded."""

CLOSED = ("/monitoring", "/svelte/", "/pwa_icon", "/login/")
"""Beginnings of paths outside of it."""


class RouteFilter:
    """ASGI middleware: what Gradio offers beyond that (links that store a session's values on disk, a proxy, an
    editor of the app's code, recordings, monitoring) is not there."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not is_allowed(scope["path"]):
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 404, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"detail": "Not found"}'})
            return
        await self._app(scope, receive, send)


def is_allowed(path: str) -> bool:
    """Whether a path is for the page, or none of Gradio's."""
    if not path.startswith(ROOT):
        return not path.startswith(CLOSED)
    return path.removeprefix(ROOT).partition("/")[0].partition("=")[0] in NEEDED
