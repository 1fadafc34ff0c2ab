"""What trusted proxies in front of the app say of the caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

_SCHEMES = {"http": {b"http": "http", b"https": "https"}, "websocket": {b"http": "ws", b"https": "wss"}}


class ProxyMiddleware:
    """ASGI middleware: takes address and scheme from the entries that `hops` proxies of ours appended.

    Whatever a caller wrote before them into the same headers counts for nothing. With no hops the headers are ignored.
    """

    def __init__(self, app: App, *, hops: int) -> None:
        self._app, self._hops = app, hops

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if self._hops and scope["type"] in _SCHEMES:
            addresses = _entries(scope, b"x-forwarded-for")
            if len(addresses) >= self._hops:
                scope["client"] = (addresses[-self._hops].decode("latin-1"), 0)
            schemes = _entries(scope, b"x-forwarded-proto")
            if schemes:
                scope["scheme"] = _SCHEMES[scope["type"]].get(schemes[-1].lower(), scope["scheme"])
        await self._app(scope, receive, send)


def _entries(scope: Scope, name: bytes) -> list[bytes]:
    return [part.strip() for key, value in scope["headers"] if key == name for part in value.split(b",")]
