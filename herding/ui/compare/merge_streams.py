"""Several streams merged into one, in batches that an eye can follow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping

from herding.errors import HerdingError
from herding.ui.kit.event_batches import HEARTBEAT_S, drain
from herding.values import Event

INTERVAL = 0.08
"""Seconds between batches."""

Item = tuple[int, Event | HerdingError]
"""The number of a stream, and its event or the error that ended it."""


async def merge_streams(
    streams: Mapping[int, AsyncGenerator[Event, None]], *, every: float = INTERVAL, beat: float = HEARTBEAT_S
) -> AsyncGenerator[list[Item], None]:
    """Yield the events of all streams in batches, at most one per `every` seconds.

    After `beat` seconds without an event an empty batch is yielded. A stream that fails yields its error and leaves the
    others running. Closing the generator closes all streams.
    """
    queue: asyncio.Queue[Item | None] = asyncio.Queue()
    pumps = [asyncio.create_task(_pump(n, events, queue), name=f"column {n}") for n, events in streams.items()]
    open_streams = len(pumps)
    try:
        while open_streams:
            batch = await drain(queue, beat)
            open_streams -= batch.count(None)
            yield [item for item in batch if item is not None]
            await asyncio.sleep(every if open_streams else 0)
        for pump in pumps:
            await pump
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(number: int, events: AsyncGenerator[Event, None], queue: asyncio.Queue[Item | None]) -> None:
    try:
        async with contextlib.aclosing(events):
            async for event in events:
                queue.put_nowait((number, event))
    except HerdingError as error:
        queue.put_nowait((number, error))
    finally:
        queue.put_nowait(None)
