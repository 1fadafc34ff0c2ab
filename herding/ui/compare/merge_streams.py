"""Several streams side by side: what each of them says, as it comes, at a pace that an eye can follow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping

from herding.errors import HerdingError
from herding.ui.kit.event_batches import HEARTBEAT_S, drain
from herding.values import Event

EVERY = 0.08

Said = tuple[int, Event | HerdingError]
"""The number of a stream, and its event or the error that ended it."""


async def together(
    streams: Mapping[int, AsyncGenerator[Event, None]], *, every: float = EVERY, beat: float = HEARTBEAT_S
) -> AsyncGenerator[list[Said], None]:
    """What all streams say in batches: at most one per `every` seconds, and an empty one after `beat` without any.

    A stream that fails says so and leaves the others alone. Closing this closes all of them.
    """
    queue: asyncio.Queue[Said | None] = asyncio.Queue()
    pumps = [asyncio.create_task(_pump(n, events, queue), name=f"column {n}") for n, events in streams.items()]
    open_ = len(pumps)
    try:
        while open_:
            batch = await drain(queue, beat)
            open_ -= batch.count(None)
            yield [said for said in batch if said is not None]
            await asyncio.sleep(every if open_ else 0)
        for pump in pumps:
            await pump
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(number: int, events: AsyncGenerator[Event, None], queue: asyncio.Queue[Said | None]) -> None:
    try:
        async with contextlib.aclosing(events):
            async for event in events:
                queue.put_nowait((number, event))
    except HerdingError as error:
        queue.put_nowait((number, error))
    finally:
        queue.put_nowait(None)
