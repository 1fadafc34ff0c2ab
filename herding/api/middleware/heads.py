"""The head of a request: the client's address, scheme and host behind reverse proxies, and what is refused by it.

A head is ambiguous that has a header twice which may be there once, and wrong with a Host that is not ours. Pages of
other origins may not write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from fastapi import Request
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from herding.api.http.errors import Problem
from herding.api.http.origins import OTHER_ORIGIN, SAFE_METHODS, AllowedOrigins
from herding.api.http.request import Headers, same_origin
from herding.errors import UserError

_SCHEMES = {"http": {b"http": "http", b"https": "https"}, "websocket": {b"http": "ws", b"https": "wss"}}

_CLAIMS = frozenset({b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-prefix", b"x-gradio-server"})
"""Headers from which Gradio builds addresses, no matter who sent them."""

_CLOSE = {"connection": "close"}
_ONCE = frozenset({b"authorization", b"host", b"origin", b"content-type", b"idempotency-key", b"sec-fetch-site"})
"""Headers of which a proxy may read the first, and the app the last."""

MAX_HOSTS = 1_000
MAX_HOST_BYTES = 260
"""Host headers that are remembered as accepted, and the longest of them."""


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


class HeadMiddleware:
    """ASGI middleware that refuses such requests with an error in the shape of the API."""

    def __init__(
        self, app: ASGIApp, *, allowed_hosts: Sequence[str] = ("*",), origins: AllowedOrigins | None = None
    ) -> None:
        self._app = app
        self._origins = AllowedOrigins() if origins is None else origins
        self._check_host = TrustedHostMiddleware(self._accept, allowed_hosts=list(allowed_hosts))
        self._accepted: set[bytes] = set()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] not in _SCHEMES:
            return self._app(scope, receive, send)
        headers: Headers = dict(scope["headers"])
        given = [name for name, _ in scope["headers"] if name in _ONCE]
        if len(set(given)) < len(given) and scope["type"] == "http":
            twice = next(name for name in given if given.count(name) > 1).decode("latin-1")
            message = f"The header '{twice}' is there more than once. Send it once."
            return _refuse(Problem(400, UserError.type, message), scope, receive, send)
        if not same_origin(headers) and not self._may_call(scope, headers):
            return _refuse(Problem(403, "refused", OTHER_ORIGIN, headers=_CLOSE), scope, receive, send)
        if scope["type"] != "http":
            return self._check_host(scope, receive, send)
        if headers.get(b"host") in self._accepted:
            return self._app(scope, receive, send)
        return self._check_host(scope, receive, _HostRefusal(scope, receive, send))

    def _may_call(self, scope: Scope, headers: Headers) -> bool:
        """Return whether a page of another origin may send a request: to read, or if the settings allow it."""
        if scope["type"] != "http":
            return False
        return scope["method"] in SAFE_METHODS or self._origins.may_call(scope["path"], headers)

    def _accept(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if not isinstance(send, _HostRefusal):
            return self._app(scope, receive, send)
        if len(self._accepted) < MAX_HOSTS:
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            self._accepted.update(host for host in hosts if len(host) <= MAX_HOST_BYTES)
        return self._app(scope, receive, send.original)


class _HostRefusal:
    """Sends our error instead of the plain text of the host check; `original` is for accepted requests."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self.original = scope, receive, send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            text = "This host name is not accepted here. The operator can add it to HERDING_TRUSTED_HOSTS."
            await _refuse(Problem(400, UserError.type, text), self._scope, self._receive, self.original)


def _header_entries(scope: Scope, name: bytes) -> list[bytes]:
    return [part.strip() for key, value in scope["headers"] if key == name for part in value.split(b",")]


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await problem.response(Request(scope))(scope, receive, send)
