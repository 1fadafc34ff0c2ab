"""Messages that bots accepted: once each, also for several processes, and taken over when a lease ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from herding.values import BotMessage
from tests.support.herding import Place

FIRST = BotMessage("10", "message", "discord:1", "500", "9", received_at=1_000, leased_until=2_000)


async def test_a_message_is_accepted_once(place: Place) -> None:
    store = place.store
    accepted = await asyncio.gather(*(store.accept_message(FIRST) for _ in range(5)))
    assert sorted(accepted) == [False, False, False, False, True]
    assert await store.bot_message("10") == FIRST
    assert await store.bot_message("11") is None


async def test_what_is_incomplete_is_taken_over_once_its_lease_has_ended(place: Place) -> None:
    store = place.store
    later, done = replace(FIRST, id="11", leased_until=9_000), replace(FIRST, id="12", received_at=500)
    for message in (FIRST, later, done):
        await store.accept_message(message)
    await store.change_message("12", state="done")
    assert await store.take_messages(now=1_999, until=5_000) == ()
    taken = await asyncio.gather(*(store.take_messages(now=2_000, until=5_000) for _ in range(3)))
    assert sorted(map(len, taken)) == [0, 0, 1]
    await store.change_message("10", state="started", request_id="r", replies=["77", "78"])
    await store.lease_messages(["10", "11"], 0)
    first, second = await store.take_messages(now=2_001, until=5_000)
    assert (first.id, first.state, first.request_id, first.replies) == ("10", "started", "r", ("77", "78"))
    assert second == replace(later, leased_until=0)
    await store.lease_messages([], 0)


async def test_a_lease_that_was_made_while_the_clock_was_wrong_holds_nothing_up(place: Place) -> None:
    await place.store.accept_message(replace(FIRST, leased_until=40 * 24 * 3_600_000))
    assert len(await place.store.take_messages(now=2_000, until=5_000)) == 1


async def test_complete_messages_are_pruned_and_others_stay(place: Place) -> None:
    store = place.store
    for message in (FIRST, replace(FIRST, id="11"), replace(FIRST, id="12", received_at=5_000, server=None)):
        await store.accept_message(message)
    await store.change_message("10", state="done")
    await store.change_message("12", state="done")
    assert await store.direct_channels() == ("500",)
    assert await store.prune_messages(before=5_000) == 1
    assert await store.bot_message("10") is None
    assert await store.bot_message("11") is not None


async def test_the_position_of_a_bot_is_kept(place: Place) -> None:
    assert await place.store.bot_position("discord") is None
    for position in (5, 1 << 62):
        await place.store.save_bot_position("discord", position)
        assert await place.store.bot_position("discord") == position
