"""The path below which a reverse proxy serves the app."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from herding.api.http.request import root_path
from herding.settings import ROOT_PATH

_HEADER = b"x-forwarded-prefix"


class RootPathMiddleware:
    """ASGI middleware around all others: finds the root path, and removes it from the path if the proxy did not.

    It is that of `X-Forwarded-Prefix`, if proxies are trusted (`hops`) and the last of them sent it, else `root_path`.
    All middleware sees paths as if the app were at the root of its host; `root_path(scope)` tells the difference.
    """

    def __init__(self, app: ASGIApp, *, root_path: str = "", hops: int = 0) -> None:
        self._app, self._root_path, self._hops = app, root_path, hops

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] not in ("http", "websocket") or not (self._root_path or self._hops):
            return self._app(scope, receive, send)
        prefix = (self._hops and _forwarded(scope)) or self._root_path
        if not prefix:
            return self._app(scope, receive, send)
        if scope["path"] == prefix and scope["type"] == "http":
            return RedirectResponse(f"{prefix}/", 307)(scope, receive, send)
        scope = {**scope, "state": {**scope.get("state", {}), "root_path": prefix}}
        if scope["path"].startswith(f"{prefix}/"):
            scope["path"] = scope["path"].removeprefix(prefix)
            scope["raw_path"] = scope.get("raw_path", b"").removeprefix(prefix.encode())
        return self._app(scope, receive, send)


class RoutedPathMiddleware:
    """ASGI middleware inside of all others: gives the routes the whole path with its root path, as ASGI defines it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] in ("http", "websocket") and (prefix := root_path(scope)):
            raw = prefix.encode() + scope.get("raw_path", b"")
            scope = {**scope, "root_path": prefix, "path": prefix + scope["path"], "raw_path": raw}
        return self._app(scope, receive, send)


def _forwarded(scope: Scope) -> str:
    """Return the root path of the header; empty if there is none, or one of another form."""
    values = [value for key, value in scope["headers"] if key == _HEADER]
    given = values[-1].rpartition(b",")[2].strip().decode("latin-1").rstrip("/") if values else ""
    return given if ROOT_PATH.fullmatch(given) else ""
