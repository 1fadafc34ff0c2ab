"""Refusal of requests whose head is ambiguous: a header twice that may be there once, or a Host that is not ours."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from fastapi import Request
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from herding.api.http.errors import Problem
from herding.errors import UserError

_ONCE = frozenset({b"authorization", b"host", b"origin", b"content-type", b"idempotency-key", b"sec-fetch-site"})
"""Headers of which a proxy may read the first, and the app the last."""

MAX_HOSTS = 1_000
MAX_HOST_BYTES = 260
"""Host headers that are remembered as accepted, and the longest of them."""


class HeadMiddleware:
    """ASGI middleware that refuses such requests with an error in the shape of the API."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: Sequence[str]) -> None:
        self._app = app
        self._check_host = TrustedHostMiddleware(self._accept, allowed_hosts=list(allowed_hosts))
        self._accepted: set[bytes] = set()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._check_host(scope, receive, send)
        found = [(name, value) for name, value in scope["headers"] if name in _ONCE]
        once = dict(found)
        if len(once) < len(found):
            names = [name for name, _ in found]
            twice = next(name for name in names if names.count(name) > 1).decode("latin-1")
            return _refuse(f"The header '{twice}' is there more than once. Send it once.", scope, receive, send)
        if once.get(b"host") in self._accepted:
            return self._app(scope, receive, send)
        return self._check_host(scope, receive, _HostRefusal(scope, receive, send))

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
            await _refuse(text, self._scope, self._receive, self.original)


async def _refuse(message: str, scope: Scope, receive: Receive, send: Send) -> None:
    await Problem(400, UserError.type, message).response(Request(scope))(scope, receive, send)
