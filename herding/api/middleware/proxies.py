"""The client's address and scheme behind trusted reverse proxies."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

_SCHEMES = {"http": {b"http": "http", b"https": "https"}, "websocket": {b"http": "ws", b"https": "wss"}}


class ProxyHeadersMiddleware:
    """ASGI middleware that takes address and scheme from the header entries that `hops` trusted proxies appended.

    Earlier entries, which a client can forge, are ignored.
    """

    def __init__(self, app: ASGIApp, *, hops: int) -> None:
        self._app, self._hops = app, hops

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._hops and scope["type"] in _SCHEMES:
            addresses = _header_entries(scope, b"x-forwarded-for")
            if len(addresses) >= self._hops:
                scope["client"] = (addresses[-self._hops].decode("latin-1"), 0)
            schemes = _header_entries(scope, b"x-forwarded-proto")
            if schemes:
                scope["scheme"] = _SCHEMES[scope["type"]].get(schemes[-1].lower(), scope["scheme"])
        await self._app(scope, receive, send)


def _header_entries(scope: Scope, name: bytes) -> list[bytes]:
    return [part.strip() for key, value in scope["headers"] if key == name for part in value.split(b",")]
