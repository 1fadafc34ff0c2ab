"""A stream slowed down loses nothing, and ends when its reader does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from herding.errors import StreamInterruptedError
from herding.ui.kit.responses.event_batches import batch_events
from herding.values import Delta, Event


async def words(
    count: int, *, pause: float = 0, fails: bool = False, log: list[str] | None = None
) -> AsyncGenerator[Event, None]:
    try:
        for number in range(count):
            await asyncio.sleep(pause)
            yield Delta(f"{number} ")
        if fails:
            raise StreamInterruptedError("broken")
    finally:
        (log if log is not None else []).append("closed")


def said(batches: list[list[Event]]) -> str:
    return "".join(event.text for batch in batches for event in batch if isinstance(event, Delta))


async def test_nothing_is_lost_and_batches_are_few() -> None:
    batches = [batch async for batch in batch_events(words(1000), every=0.05)]
    assert said(batches) == "".join(f"{number} " for number in range(1000))
    assert len(batches) < 100


async def test_an_error_comes_after_all_that_came_before() -> None:
    batches: list[list[Event]] = []

    async def read() -> None:
        async for batch in batch_events(words(5, fails=True)):
            batches.append(batch)

    with pytest.raises(StreamInterruptedError):
        await read()
    assert said(batches) == "0 1 2 3 4 "


async def test_a_silent_stream_still_gives_signs_of_life() -> None:
    batches = [batch async for batch in batch_events(words(1, pause=0.5), beat=0.02)]
    assert batches.count([]) >= 2


async def test_closing_it_closes_the_stream() -> None:
    log: list[str] = []
    stream = batch_events(words(1000, pause=0.01, log=log))
    await anext(stream)
    await stream.aclose()
    assert log == ["closed"]
