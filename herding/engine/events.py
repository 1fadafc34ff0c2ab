"""Server-sent events that notice at once when the client leaves."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from starlette.types import Receive, Scope, Send

from herding.engine.load import Event, error_event
from herding.errors import HerdingError

_log = logging.getLogger(__name__)

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class EventStreamResponse:
    """An ASGI response that sends `events`; a client that leaves ends them, even while nothing is being sent.

    An error in the events becomes their last event. `closed` is called at the end, whatever the end was.
    """

    def __init__(self, events: AsyncGenerator[Event], *, closed: Callable[[], None] = lambda: None) -> None:
        self._events = events
        self._closed = closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the stream."""
        sending = asyncio.create_task(self._send_all(send))
        leaving = asyncio.create_task(_until_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
            self._closed()

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        async with aclosing(self._events) as events:
            try:
                async for event in events:
                    await _send(send, event, more=True)
            except HerdingError as error:
                await _send(send, error_event(error), more=True)
            except Exception:  # noqa: BLE001  the client must not wait for ever
                _log.exception("a stream failed")
                await _send(send, error_event(HerdingError("The engine failed; its log says why.")), more=True)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(send: Send, event: Event, *, more: bool) -> None:
    body = b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
