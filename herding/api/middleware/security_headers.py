"""What every request and answer passes: security headers, a cap on bodies, a check of where a page is from."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from fastapi import Request

from herding.api.http.errors import Problem
from herding.api.http.origin import same_origin
from herding.errors import BROKEN

MAX_BODY = 8_000_000

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Gradio's page needs inline scripts and eval; everything must come from us, so that no answer of a model can make
# the browser call another host (an image's address can carry a secret away).
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
    """The body went over the cap while it was read."""


class SecurityHeadersMiddleware:
    """ASGI middleware around everything."""

    def __init__(self, app: App, *, max_body: int = MAX_BODY, frame_ancestors: Sequence[str] = ()) -> None:
        self._app = app
        self._max_body = max_body
        policy = _POLICY.format(ancestors=" ".join(frame_ancestors))
        self._headers = ((b"content-security-policy", policy.encode()), *_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        answer = _Answer(send, self._headers)
        if (scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS) and not same_origin(headers):
            await _refuse(scope, answer, 403, "A page of another origin may not do this.")
        elif not self._may_read(headers.get(b"content-length", b"0")):
            await _refuse(scope, answer, 413, self._too_large)
        else:
            await self._guarded(scope, receive, answer)

    async def _guarded(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        read = 0

        async def capped() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._max_body:
                answer.muted = not answer.started  # what the app says about a body cut off is not the point
                raise _TooLarge
            return message

        try:
            await self._app(scope, capped, answer)
        except _TooLarge:
            answer.muted = not answer.started
        except Exception:
            if answer.started:
                raise
            log.exception("%s failed", scope["path"])
            await _refuse(scope, answer, 500, BROKEN)
        if answer.muted:
            answer.muted = False
            await _refuse(scope, answer, 413, self._too_large)

    @property
    def _too_large(self) -> str:
        return f"A request body has at most {self._max_body:,} bytes."

    def _may_read(self, length: bytes) -> bool:
        return length.isdigit() and int(length) <= self._max_body


class _Answer:
    """Sends an answer with the security headers; nothing of it while `muted`."""

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
    answer = Problem(status, "refused", message, headers={"connection": "close"}).answer(Request(scope))
    await answer(scope, _nothing, send)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
