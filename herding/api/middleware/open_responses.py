"""Open responses: their security headers, and a definite end of each, early if its caller is logged out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from herding.api.http.errors import Problem, problem_of
from herding.api.http.origins import API_PATHS
from herding.api.http.sse import encode_event
from herding.errors import BROKEN, AuthenticationError, HerdingError, ShuttingDownError
from herding.people.authenticator import SESSION_ENDED, Authenticator
from herding.values import Principal

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

RECHECK_SECONDS = 0.5
"""Seconds between two checks of the sessions and tokens of open responses."""

_EVENTS = b"text/event-stream"


@dataclass(slots=True, eq=False)
class OpenResponse:
    """A response that is not complete. `state` is that of its request, with the principal once it is known.

    `is_stream` is true for server-sent events, which may stay open without any work. `ended` is why it was ended early.
    """

    task: asyncio.Task[Any]
    state: MutableMapping[str, Any]
    is_stream: bool = False
    is_invalid: bool = False
    ended: str | None = None

    @property
    def principal(self) -> Principal | None:
        """The principal of the request."""
        found = self.state.get("principal")
        return found if isinstance(found, Principal) else None

    def end(self, why: str) -> None:
        """Cancel the work for this response; the code that added it completes the response."""
        if self.ended is None:
            self.ended = why
            self.task.cancel()


class OpenResponses:
    """A registry of open responses. `stopping` is true once the app stops and takes no further requests."""

    LOGGED_OUT = "logged out"
    STOPPING = "stopping"

    def __init__(self) -> None:
        self._open: set[OpenResponse] = set()
        self.stopping = False

    def __len__(self) -> int:
        return len(self._open)

    @property
    def working(self) -> int:
        """The number of open responses that are no streams of events."""
        return sum(not response.is_stream for response in self._open)

    def add(self, state: MutableMapping[str, Any]) -> OpenResponse:
        """Register the response of the current task."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a response is sent by a task")
        response = OpenResponse(task, state)
        self._open.add(response)
        return response

    def remove(self, response: OpenResponse) -> None:
        """Forget a response that is complete."""
        self._open.discard(response)

    def end_all(self) -> None:
        """End all responses because the app stops."""
        for response in list(self._open):
            response.end(self.STOPPING)

    async def wait_until(self, holds: Callable[[], bool], *, seconds: float) -> None:
        """Wait until a condition holds, at most for some seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not holds() and loop.time() < deadline:  # noqa: ASYNC110 (a condition of several parts has no event)
            await asyncio.sleep(0.02)

    async def watch(self, authenticator: Authenticator) -> None:
        """End, within about a second, the responses of principals who are no longer logged in; never returns.

        Not at the first check that fails but at the next: by then a run of a prompt has ended with an error that says
        why.
        """
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            await self.check(authenticator)

    async def check(self, authenticator: Authenticator) -> None:
        """Check the principals of all open responses once."""
        for response in list(self._open):
            who = response.principal
            if who is None or who.token is None or response.ended or await authenticator.still_valid(who):
                continue
            if response.is_invalid:
                response.end(self.LOGGED_OUT)
            response.is_invalid = True


class OpenResponseMiddleware:
    """ASGI middleware around all others.

    It also gives a definite end to every response: unexpected exceptions become a response of status 500, and what is
    ended early an error.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        open_responses: OpenResponses | None = None,
        frame_ancestors: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._open = OpenResponses() if open_responses is None else open_responses
        policy = _POLICY.format(ancestors=" ".join(frame_ancestors))
        self._headers = ((b"content-security-policy", policy.encode()), *_HEADERS)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] not in ("http", "websocket"):
            return self._app(scope, receive, send)
        response = _GuardedSend(send, self._headers)
        if self._open.stopping:
            return _send_error(scope, response, ShuttingDownError())
        return self._run(scope, receive, response)

    async def _run(self, scope: Scope, receive: Receive, response: _GuardedSend) -> None:
        """Run the app; complete the response if the app could not."""
        response.opened = opened = self._open.add(scope.setdefault("state", {}))
        try:
            await self._app(scope, receive, response)
        except asyncio.CancelledError:
            if opened.ended is None:
                raise
            opened.task.uncancel()
            await _end_early(scope, response, opened.ended)
        except Exception:
            if response.started:
                raise
            log.exception("%s failed", scope["path"])
            await _refuse(scope, response, 500, BROKEN)
        finally:
            self._open.remove(opened)


class _GuardedSend:
    """Sends a response with the security headers, and knows how far it is."""

    def __init__(self, send: Send, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._headers = headers
        self.started = self.complete = False
        self.opened: OpenResponse | None = None

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self.started = True
            headers = message.get("headers", ())
            if self.opened is not None:
                self.opened.is_stream = _EVENTS in dict(headers).get(b"content-type", b"")
            message["headers"] = [*headers, *self._headers]
        elif not message.get("more_body"):
            self.complete = True
        return self._send(message)


async def _end_early(scope: Scope, response: _GuardedSend, why: str) -> None:
    """Complete a response whose work was cancelled. A download stays visibly incomplete."""
    error = ShuttingDownError() if why == OpenResponses.STOPPING else AuthenticationError(SESSION_ENDED)
    if not response.started:
        await _send_error(scope, response, error)
    elif not response.complete and response.opened and response.opened.is_stream:
        last = b""
        if why == OpenResponses.STOPPING and scope["path"].startswith(API_PATHS):
            problem = problem_of(error)
            if scope["path"].startswith("/v1/"):
                last = encode_event(problem.openai().model_dump())
            else:
                last = encode_event(problem.native().model_dump(), "error")
        await response({"type": "http.response.body", "body": last, "more_body": False})


async def _send_error(scope: Scope, send: Send, error: HerdingError) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1012})
        return
    response = problem_of(error).response(Request(scope))
    response.headers["connection"] = "close"
    await response(scope, _receive_nothing, send)


async def _refuse(scope: Scope, send: Send, status: int, message: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    response = Problem(status, "refused", message, headers={"connection": "close"}).response(Request(scope))
    await response(scope, _receive_nothing, send)


async def _receive_nothing() -> Message:
    return {"type": "http.disconnect"}
