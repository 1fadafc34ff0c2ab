"""Closes the routes of Gradio that neither the page nor its client needs."""

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
"""First parts of the paths; `run` serves events without a queue, `upload` replies that uploads are not allowed."""

CLOSED = ("/monitoring", "/svelte/", "/pwa_icon", "/login/")
"""Prefixes of paths outside ROOT."""


class RouteFilter:
    """ASGI middleware: replies 404 to Gradio's deep links, proxy, code editor, recordings and monitoring."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not is_allowed(_route_path(scope)):
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 404, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"detail": "Not found"}'})
            return
        await self._app(scope, receive, send)


def _route_path(scope: Scope) -> str:
    """Return the path below the root path of the app."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


def is_allowed(path: str) -> bool:
    """Return True if a path is needed, or not one of Gradio's."""
    if not path.startswith(ROOT):
        return not path.startswith(CLOSED)
    return path.removeprefix(ROOT).partition("/")[0].partition("=")[0] in NEEDED
