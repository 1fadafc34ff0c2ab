"""The client's address, scheme and host behind trusted reverse proxies."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

_SCHEMES = {"http": {b"http": "http", b"https": "https"}, "websocket": {b"http": "ws", b"https": "wss"}}

_CLAIMS = frozenset({b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-prefix", b"x-gradio-server"})
"""Headers from which Gradio builds addresses, no matter who sent them."""


class ProxyHeadersMiddleware:
    """ASGI middleware that takes address, scheme and host from the header entries that `hops` trusted proxies appended.

    Earlier entries, which a client can forge, are ignored. Those of no trusted proxy are removed.
    """

    def __init__(self, app: ASGIApp, *, hops: int) -> None:
        self._app, self._hops = app, hops

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] not in _SCHEMES:
            return self._app(scope, receive, send)
        if self._hops:
            addresses = _header_entries(scope, b"x-forwarded-for")
            if len(addresses) >= self._hops:
                scope["client"] = (addresses[-self._hops].decode("latin-1"), 0)
            schemes = _header_entries(scope, b"x-forwarded-proto")
            if schemes:
                scope["scheme"] = _SCHEMES[scope["type"]].get(schemes[-1].lower(), scope["scheme"])
        if any([key in _CLAIMS for key, _ in scope["headers"]]):
            host = _header_entries(scope, b"x-forwarded-host")[-1:] if self._hops else []
            removed = _CLAIMS | {b"host"} if host else _CLAIMS
            kept = [(key, value) for key, value in scope["headers"] if key not in removed]
            scope["headers"] = [*((b"host", value) for value in host), *kept]
        return self._app(scope, receive, send)


def _header_entries(scope: Scope, name: bytes) -> list[bytes]:
    return [part.strip() for key, value in scope["headers"] if key == name for part in value.split(b",")]
