"""A model load that somebody may follow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from herding.errors import HerdingError

Event = Mapping[str, Any]
"""One event of a stream, as JSON will have it."""


class Load:
    """The events of one load. It goes on when the follower leaves."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def progress(self, stage: str, fraction: float | None) -> None:
        """Say how far the load is."""
        self._events.put_nowait({"type": "progress", "fraction": fraction, "stage": stage})

    def end(self, error: HerdingError | None) -> None:
        """Say that the load is over."""
        self._events.put_nowait({"type": "done", "model": self.model} if error is None else error_event(error))

    async def events(self) -> AsyncGenerator[Event]:
        """All events up to the end."""
        while True:
            event = await self._events.get()
            yield event
            if event["type"] != "progress":
                return


def error_event(error: HerdingError) -> Event:
    """The last event of a stream that failed."""
    return {"type": "error", "error_type": error.type, "message": error.message}
