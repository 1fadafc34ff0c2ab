"""Several streams of page events merged into one, so that all columns need one connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

PENDING = 64
"""Events that may wait for a slow page; the streams pause then."""

PageEvents = AsyncGenerator[tuple[str, Any], None]


async def merge_streams(streams: Mapping[str, PageEvents]) -> PageEvents:
    """Yield the events of all streams as they come, each named `<key of the stream>.<name>`.

    Closing the generator closes all streams. An error that a stream raises ends the others, too.
    """
    queue: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue(PENDING)
    pumps = [asyncio.create_task(_pump(key, events, queue), name=f"column {key}") for key, events in streams.items()]
    try:
        left = len(pumps)
        while left:
            event = await queue.get()
            if event is None:
                left -= 1
            else:
                yield event
        for pump in pumps:
            await pump
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(key: str, events: PageEvents, queue: asyncio.Queue[tuple[str, Any] | None]) -> None:
    try:
        async with contextlib.aclosing(events):
            async for name, data in events:
                await queue.put((f"{key}.{name}", data))
    finally:
        if not _is_cancelled():
            await queue.put(None)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
