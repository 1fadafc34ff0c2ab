"""Security headers, a limit on the size of bodies, and the refusal of writes from pages of other origins."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from herding.api.http.errors import Problem
from herding.api.http.request import same_origin
from herding.errors import BROKEN

MAX_BODY = 8_000_000


# Gradio's page needs inline scripts and eval. Everything must come from our origin, so that no response of a model
# makes the browser call another host: the URL of an image could carry a secret away.
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "style-src 'self' 'unsafe-inline'",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self' {ancestors}",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
    )
)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
log = logging.getLogger(__name__)

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class _TooLarge(Exception):
    """The body exceeded the limit while it was read."""


class SecurityHeadersMiddleware:
    """ASGI middleware around all others; it also turns unexpected exceptions into a response of status 500."""

    def __init__(self, app: ASGIApp, *, max_body: int = MAX_BODY, frame_ancestors: Sequence[str] = ()) -> None:
        self._app = app
        self._max_body = max_body
        policy = _POLICY.format(ancestors=" ".join(frame_ancestors))
        self._headers = ((b"content-security-policy", policy.encode()), *_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        response = _GuardedSend(send, self._headers)
        if (scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS) and not same_origin(headers):
            await _refuse(scope, response, 403, "A page of another origin may not do this.")
            return
        length = headers.get(b"content-length")
        if length is not None and not (length.isdigit() and int(length) <= self._max_body):
            await _refuse(scope, response, 413, self._too_large)
            return
        if length is None:  # else the server reads no more than that
            receive = self._limit(receive, response)
        try:
            await self._app(scope, receive, response)
        except _TooLarge:
            response.muted = not response.started
        except Exception:
            if response.started:
                raise
            log.exception("%s failed", scope["path"])
            await _refuse(scope, response, 500, BROKEN)
        if response.muted:
            response.muted = False
            await _refuse(scope, response, 413, self._too_large)

    def _limit(self, receive: Receive, response: _GuardedSend) -> Receive:
        """Return a `receive` that raises _TooLarge once the body exceeds the limit."""
        read = 0

        async def receive_limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._max_body:
                response.muted = not response.started  # the app can only complain about a truncated body
                raise _TooLarge
            return message

        return receive_limited

    @property
    def _too_large(self) -> str:
        return f"The request body is too large. Send at most {self._max_body:,} bytes."


class _GuardedSend:
    """Sends a response with the security headers; drops its messages while `muted`."""

    def __init__(self, send: Send, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._headers = headers
        self.started = False
        self.muted = False

    async def __call__(self, message: Message) -> None:
        if self.muted:
            return
        if message["type"] == "http.response.start":
            self.started = True
            message["headers"] = [*message.get("headers", ()), *self._headers]
        await self._send(message)


async def _refuse(scope: Scope, send: Send, status: int, message: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    response = Problem(status, "refused", message, headers={"connection": "close"}).response(Request(scope))
    await response(scope, _receive_nothing, send)


async def _receive_nothing() -> Message:
    return {"type": "http.disconnect"}
