"""Answers as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from herding.api.http.disconnect import ClientDisconnected, while_there
from herding.api.http.errors import problem_of
from herding.errors import HerdingError

T = TypeVar("T")

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""No proxy keeps events back or keeps them at all."""


def event(name: str, data: Any) -> bytes:
    """One named event; its data is ASCII, so no client takes a character of it for the end of a line."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def data_only(data: Any) -> bytes:
    """One event without a name."""
    return f"data: {json.dumps(data)}\n\n".encode()


async def events_of(steps: AsyncGenerator[T, None], show: Callable[[T], bytes]) -> AsyncGenerator[bytes, None]:
    """Steps as events; an error before the first one is raised, a later one is the last event."""
    begun = False
    try:
        async with aclosing(steps):
            async for step in steps:
                begun = True
                yield show(step)
    except HerdingError as error:
        if not begun:
            raise
        yield event("error", problem_of(error).native())


class EventStreamResponse(StreamingResponse):
    """Sends events as they come, and closes their source as soon as the caller leaves.

    The answer begins with the first event: an error before it is still an HTTP error with a status of its own, and
    `later` are headers that are known by then.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None], *, later: Mapping[str, str] | None = None) -> None:
        super().__init__(events, headers=_HEADERS)
        self._events, self._later = events, {} if later is None else later

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI's)
        with suppress(ClientDisconnected):
            await while_there(receive, self._send(send))

    async def _send(self, send: Send) -> None:
        async with aclosing(self._events) as events:
            first = await anext(events, b"")
            self.headers.update(self._later)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for data in events:
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
