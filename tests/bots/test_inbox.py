"""What the bot took is stored once, held while it is in work, and taken up again where it was left."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from herding.bots import inbox
from herding.bots.inbox import BOT, LEASE_MS, Inbox, snowflake, time_of
from herding.errors import StoreError
from herding.values import BotMessage
from tests.bots.conftest import Clock
from tests.support.herding import Place

AT: dict[str, Any] = {"author": 1, "channel": 2, "server": None}


async def test_a_message_is_accepted_once_also_by_another_process(place: Place, clock: Clock) -> None:
    first, other = (Inbox(place.store, clock) for _ in range(2))
    message = await first.accept(10, "message", **AT)
    assert message is not None
    assert (message.author, message.channel, message.server) == ("discord:1", "2", None)
    assert message.leased_until - message.received_at == LEASE_MS
    assert await first.accept(10, "message", **AT) is None
    assert await other.accept(10, "message", **AT) is None


async def test_work_that_was_left_is_taken_up_again_and_done_work_is_not(place: Place, clock: Clock) -> None:
    mine, other = (Inbox(place.store, clock) for _ in range(2))
    left, done = await mine.accept(10, "message", **AT), await mine.accept(11, "message", **AT)
    assert left is not None
    assert done is not None
    async with mine.working(done):
        assert mine.unfinished == ["11"]
    with pytest.raises(asyncio.CancelledError):
        await _give_up(mine, left)
    assert mine.unfinished == ["10"]
    assert await other.take() == []
    await mine.release(mine.unfinished)
    assert [message.id for message in await other.take()] == ["10"]


async def _give_up(mine: Inbox, message: BotMessage) -> None:
    """End the work on a message as a server does that stops before a node took it."""
    async with mine.working(message):
        mine.leave(message)
        raise asyncio.CancelledError


async def test_the_position_waits_for_messages_on_their_way_in_and_for_a_pause(
    place: Place, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Inbox(place.store, clock)
    assert await mine.position() is None
    began = await place.store.bot_position(BOT)
    assert began is not None
    assert abs(time_of(began) - clock()) < 60_000

    async def failing(_message: Any) -> bool:
        raise StoreError("The database is away.")

    late, newest = snowflake(clock() + 60_000), snowflake(clock() + 120_000)
    monkeypatch.setattr(inbox, "STORE_SECONDS", 0.01)
    monkeypatch.setattr(place.store, "accept_message", failing)
    entering = asyncio.create_task(mine.accept(late, "message", **AT))
    await asyncio.sleep(0)
    mine.note_seen(newest)
    await mine.release([])
    assert await place.store.bot_position(BOT) == began, "messages of a pause may be missing"
    mine.caught_up = True
    await mine.release([])
    assert await place.store.bot_position(BOT) == late - 1
    monkeypatch.undo()
    assert await entering is not None
    await mine.release([])
    assert await place.store.bot_position(BOT) == newest
