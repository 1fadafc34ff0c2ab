"""Responses as server-sent events.

Starlette's response sends the headers before it asks for the first event. Here the first event comes first, since it
decides the status: an error before it is an HTTP error.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from starlette.types import Receive, Scope, Send

from herding.api.http.errors import problem_of
from herding.api.http.request import until_disconnect
from herding.api.http.response import Headers, event_headers
from herding.errors import HerdingError
from herding.values import Started, StepChanged

T = TypeVar("T")

EVENT_SCHEMA = {"type": "object", "properties": {"event": {"type": "string"}, "data": {"type": "string"}}}
"""The schema of one event in OpenAPI."""


def encode_event(data: Any, name: str | None = None) -> bytes:
    """Return one event; its data is JSON in ASCII, so that no client takes a character for the end of a line."""
    return format_sse_event(data_str=json.dumps(data), event=name)


def encode_error(error: HerdingError) -> bytes:
    """Return an error of the native API as its last event."""
    return encode_event(problem_of(error).native().model_dump(), "error")


async def event_stream(
    request: Request,
    stream: AsyncGenerator[T, None],
    encode: Callable[[T], bytes],
    encode_error: Callable[[HerdingError], bytes] = encode_error,
) -> Response:
    """Return a response that sends a stream as events as it comes, and closes it when the client disconnects.

    `encode` returns the events of an item, nothing for one that is not sent. The headers tell of the node that took a
    request before the first event. Raises what comes in the place of that event; a later error is the last event.
    """
    headers: Headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    events = _encoded(stream, encode, encode_error, headers)
    try:
        with until_disconnect(request.receive):
            first = await anext(events, b"")
    except BaseException:
        await events.aclose()
        raise
    return _EventStreamResponse(first, events, headers)


async def _encoded(
    stream: AsyncGenerator[T, None],
    encode: Callable[[T], bytes],
    encode_error: Callable[[HerdingError], bytes],
    headers: Headers,
) -> AsyncGenerator[bytes, None]:
    """Yield a stream as events. An error before the first one is raised, a later one is the last event."""
    started = False
    try:
        async with aclosing(stream):
            async for item in stream:
                if isinstance(item, Started | StepChanged):
                    headers.update(event_headers(item))
                if event := encode(item):
                    yield event
                    started = True
    except HerdingError as error:
        if not started:
            raise
        yield encode_error(error)


class _EventStreamResponse(StreamingResponse):
    media_type = "text/event-stream"

    def __init__(self, first: bytes, events: AsyncGenerator[bytes, None], headers: Headers) -> None:
        self._events = events
        super().__init__(self._chain(first), headers=headers)

    async def _chain(self, first: bytes) -> AsyncGenerator[bytes, None]:
        yield first
        async for event in self._events:
            yield event

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)
