"""Refusal of requests whose head is ambiguous: a header twice that may be there once, or a Host that is not ours."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from herding.api.http.errors import Problem
from herding.errors import UserError

_ONCE = frozenset({b"authorization", b"host", b"origin", b"content-type", b"idempotency-key", b"sec-fetch-site"})
"""Headers of which a proxy may read the first, and the app the last."""


class HeadMiddleware:
    """ASGI middleware that refuses such requests with an error in the shape of the API."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = TrustedHostMiddleware(self._accepted, allowed_hosts=list(allowed_hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._hosts(scope, receive, send)
            return
        names = [name for name, _ in scope["headers"] if name in _ONCE]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1).decode("latin-1")
            await _refuse(f"The header '{twice}' is there more than once. Send it once.", scope, receive, send)
            return
        await self._hosts(scope, receive, _HostRefusal(scope, receive, send))

    async def _accepted(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send.original if isinstance(send, _HostRefusal) else send)


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
