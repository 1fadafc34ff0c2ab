"""Groups the events of a stream into batches that a page can render in time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TypeVar

from herding.errors import HerdingError
from herding.values import Event

INTERVAL_S = 0.04
HEARTBEAT_S = 0.5

T = TypeVar("T")


async def batch_events(
    events: AsyncGenerator[Event, None], *, every: float = INTERVAL_S, beat: float = HEARTBEAT_S
) -> AsyncGenerator[list[Event], None]:
    """Yield the events in batches: at most one batch per `every` seconds, and an empty one after `beat` without any.

    The empty batches let the server notice that the client disconnected. Raises what `events` raises, after all events
    before it; closing this generator closes `events`.
    """
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    pump = asyncio.create_task(_pump(events, queue), name="event batches")
    try:
        ended = False
        while not ended:
            batch = await drain(queue, beat)
            ended = bool(batch) and batch[-1] is None
            yield [event for event in batch if event is not None]
            await asyncio.sleep(0 if ended else every)
        await pump
    finally:
        pump.cancel()
        with contextlib.suppress(asyncio.CancelledError, HerdingError):
            await pump


async def _pump(events: AsyncGenerator[Event, None], queue: asyncio.Queue[Event | None]) -> None:
    try:
        async with contextlib.aclosing(events):
            async for event in events:
                queue.put_nowait(event)
    finally:
        queue.put_nowait(None)


async def drain(queue: asyncio.Queue[T], beat: float) -> list[T]:
    """Return all queued items, or the first one within `beat` seconds."""
    try:
        async with asyncio.timeout(beat):
            batch = [await queue.get()]
    except TimeoutError:
        return []
    while not queue.empty():
        batch.append(queue.get_nowait())
    return batch
