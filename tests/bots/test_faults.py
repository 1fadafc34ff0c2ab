"""Drops, limits, duplicates, restarts: every message is answered once, and the last edit always arrives."""

from __future__ import annotations

import asyncio

import pytest

from herding.bots import client, inbox, reply
from herding.errors import StoreError
from tests.bots.conftest import Clock, bot, crash, door_of
from tests.bots.test_discord import complete, status, told
from tests.support.fakediscord import CODE, GENERAL, FakeDiscord, broken, limited
from tests.support.herding import ADMIN, Place
from tests.support.until import until

pytestmark = pytest.mark.slow  # all together: they wait for what the library does at its own pace


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often at what can be taken over."""
    monkeypatch.setattr(client, "RECOVER_SECONDS", 0.1)
    monkeypatch.setattr(inbox, "POSITION_SECONDS", 0.1)


async def test_what_came_during_a_lost_connection_is_answered_once(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord):
        for code in (1006, 4000, 1001):
            await discord.drop(code)
            discord.say(GENERAL, f"after {code}")
            await complete(discord, count=len(discord.own(GENERAL)) + 1)
        await discord.ask_to_reconnect()
        discord.say(GENERAL, "after a request")
        await complete(discord, count=4)
        assert discord.said(GENERAL) == ["after 1006", "after 4000", "after 1001", "after a request"]
        assert (discord.identified, discord.resumed) == (1, 4)


async def test_what_came_while_the_session_was_invalid_is_read_and_answered_once(
    place: Place, discord: FakeDiscord
) -> None:
    async with bot(place, discord):
        discord.say(GENERAL, "seen")
        await complete(discord)
        await discord.drop(1006, resumable=False)
        discord.say(GENERAL, "missed one")
        discord.say(CODE, "missed two")
        discord.say(CODE, "not to the bot", mention=False)
        await complete(discord, CODE)
        await complete(discord, count=2)
        assert discord.identified == 2
        await discord.invalidate()
        await until(lambda: discord.identified == 3)
        discord.say(GENERAL, "last")
        await complete(discord, count=3)
        assert (discord.said(GENERAL), discord.said(CODE)) == (["seen", "missed one", "last"], ["missed two"])


async def test_messages_from_while_the_app_was_off_are_answered_and_older_ones_are_not(
    place: Place, discord: FakeDiscord, clock: Clock
) -> None:
    discord.say(GENERAL, "before the first start")
    async with bot(place, discord):
        discord.say(GENERAL, "one")
        await complete(discord)
        await asyncio.sleep(0.3)
    discord.say(GENERAL, "too old")
    clock.ahead = 2 * 3_600_000
    discord.say(GENERAL, "two")
    async with bot(place, discord, catch_up_hours=1):
        await complete(discord, count=2)
        discord.say(GENERAL, "three")
        await complete(discord, count=3)
    assert discord.said(GENERAL) == ["one", "two", "three"]


async def test_duplicates_and_events_out_of_order_are_answered_once(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord), bot(place, discord):  # two processes with one token
        discord.hold()
        for number in range(4):
            discord.say(GENERAL, f"message {number}")
        discord.release(lambda events: [*reversed(events), *events])
        await complete(discord, count=4)
        discord.say(CODE, "the end")
        await complete(discord, CODE)
        assert sorted(discord.said(GENERAL)) == [f"message {number}" for number in range(4)]
        command = discord.command("ask", question="once")
        discord.dispatch("INTERACTION_CREATE", command["event"])
        await complete(discord, count=5)
        discord.say(CODE, "the very end")
        await complete(discord, CODE, 2)
        assert discord.said(GENERAL).count("once") == 1


async def test_rate_limits_and_failures_delay_and_lose_nothing(
    place: Place, discord: FakeDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reply, "EDIT_SECONDS", 0.05)
    async with bot(place, discord):
        discord.fail("POST", "/messages", lambda: limited(0.2), times=2)
        discord.say(GENERAL, "limited")
        await complete(discord)
        discord.fail("POST", "/messages", None, after=True)  # it arrived, and the connection was cut
        discord.say(GENERAL, "cut")
        await complete(discord, count=2)
        discord.fail("POST", "/messages", lambda: limited(0.1, everywhere=True))
        discord.fail("POST", "/messages", lambda: broken(503), times=2)
        discord.say(GENERAL, "broken")
        await complete(discord, count=3)
        assert discord.said(GENERAL) == ["limited", "cut", "broken"]


async def test_a_message_that_arrived_unnoticed_is_brought_to_the_final_state(
    place: Place, discord: FakeDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bot(place, discord, prompt="endless"):
        discord.fail("POST", "/messages", None, after=True)
        discord.say(GENERAL, "go on")
        (shown,) = await discord.until(lambda: [m for m in discord.own(GENERAL) if m["content"]])
        row = await place.row()
        await place.orchestrator.pipeline.cancel(row.request_id, ADMIN)
        (shown,) = await complete(discord)
        assert status(shown) == "Stopped."
        assert len(discord.own(GENERAL)) == 1


async def test_the_final_edit_arrives_after_failed_ones(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord, prompt="endless"):
        discord.say(GENERAL, "go on")
        (shown,) = await discord.until(lambda: [m for m in discord.own(GENERAL) if m["content"]])
        discord.fail("PATCH", "/messages", None, times=2)
        discord.fail("PATCH", "/messages", lambda: broken(503), times=1)
        discord.click(shown, "Stop")
        (shown,) = await complete(discord)
        assert status(shown) == "Stopped."


async def test_edits_keep_to_the_limits_of_discord(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord):
        for _ in range(8):
            discord.say(GENERAL, "many at once")
        await complete(discord, count=8)
        assert discord.limited <= 4


async def test_a_deleted_response_stays_deleted(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord, prompt="endless"):
        asked = discord.say(GENERAL, "go on")
        (shown,) = await discord.until(lambda: [m for m in discord.own(GENERAL) if m["content"]])
        discord.messages[GENERAL].remove(shown)
        row = await place.row()
        await place.orchestrator.pipeline.cancel(row.request_id, ADMIN)
        await _done(place, asked["id"])
        assert discord.own(GENERAL) == []


async def test_a_command_outlives_its_token(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord, prompt="endless"):
        discord.command("ask", question="go on")
        (shown,) = await discord.until(lambda: [m for m in discord.own(GENERAL) if m["content"]])
        discord.token_seconds = 0.0
        row = await place.row()
        await place.orchestrator.pipeline.cancel(row.request_id, ADMIN)
        (shown,) = await complete(discord)
        assert "Stopped." in status(shown)


async def test_a_command_that_comes_late_is_answered_in_the_channel(
    place: Place, discord: FakeDiscord, clock: Clock
) -> None:
    async with bot(place, discord):
        discord.hold()
        discord.command("ask", question="late")
        clock.ahead = 4_000
        discord.release()
        (shown,) = await complete(discord)
        assert shown["content"] == "late"


async def test_a_wrong_token_stops_the_bot_and_not_the_app(
    place: Place, discord: FakeDiscord, caplog: pytest.LogCaptureFixture
) -> None:
    door = door_of(place, discord, token="wrong")
    async with door.open():
        await until(lambda: door.status.state == "failed")
        problem = door.status.detail
        assert "Set DISCORD_BOT_TOKEN" in problem
        assert place.orchestrator.bots() == {"discord": "failed"}
        (event,) = await place.orchestrator.nodes.events(ADMIN, limit=1)
        assert (event.node, event.kind) == ("discord", "misconfigured")
    (logged,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert logged.getMessage() == f"Discord bot stopped: {problem}"
    assert "wrong" not in logged.getMessage()


async def test_without_the_intent_it_runs_and_says_so(
    place: Place, discord: FakeDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("herding.bots.door.FIRST_PAUSE", 0.05)
    discord.content_allowed = False
    async with bot(place, discord) as door:
        assert "Message Content is off" in door.status.detail
        discord.say(GENERAL, "hello")
        (shown,) = await complete(discord)
        assert shown["content"] == "hello"


async def test_it_starts_once_discord_is_reachable(
    place: Place, discord: FakeDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("herding.bots.door.FIRST_PAUSE", 0.05)
    discord.fail("GET", "/users/@me", None, times=2)
    discord.fail("GET", "/gateway/bot", lambda: broken(503), times=2)
    async with bot(place, discord):
        discord.say(GENERAL, "hello")
        await complete(discord)


# Restarts


async def test_a_message_that_no_node_had_begun_is_answered_after_a_crash(
    place: Place, discord: FakeDiscord, clock: Clock
) -> None:
    async with bot(place, discord, prompt="endless") as door:
        discord.say(CODE, "the node is busy", user=8)
        await discord.until(lambda: [m for m in discord.own(CODE) if m["content"]])
        discord.say(GENERAL, "waits")
        (shown,) = await discord.until(lambda: discord.own(GENERAL))
        assert "Waiting in the queue" in status(shown)
        await crash(door)
    clock.ahead = 61_000
    async with bot(place, discord):
        (again,) = await complete(discord)
        assert (again["id"], again["content"]) == (shown["id"], "waits")
        (broken_off,) = await complete(discord, CODE)
        assert status(broken_off) == "Herding restarted before this response was complete. Send the message again."


async def test_a_complete_response_is_sent_after_a_crash(place: Place, discord: FakeDiscord, clock: Clock) -> None:
    async with bot(place, discord) as door:
        discord.fail("POST", "/messages", lambda: broken(503), times=50)
        asked = discord.say(GENERAL, "hello")
        await until(lambda: discord.faults[0].times < 50)
        await crash(door)
    discord.faults.clear()
    clock.ahead = 61_000
    async with bot(place, discord):
        (shown,) = await complete(discord)
        assert (shown["content"], shown["message_reference"]["message_id"]) == ("hello", asked["id"])
        assert len(await place.rows()) == 1
        assert await told(discord, discord.click(shown, "3 ★")) == "Rated 3 of 5."


async def test_an_orderly_stop_gives_its_work_to_the_next_process(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord, prompt="endless"):
        discord.say(CODE, "the node is busy", user=8)
        await discord.until(lambda: [m for m in discord.own(CODE) if m["content"]])
        discord.say(GENERAL, "waits")
        await discord.until(lambda: discord.own(GENERAL))
        discord.command("ask", question="a command waits")
        await discord.until(lambda: len(discord.own(GENERAL)) == 2)
        place.orchestrator.stop_accepting()
        place.orchestrator.interrupt_all()
        (shown,) = await complete(discord, CODE)
        assert "Herding restarted" in status(shown)
    place.orchestrator._active.stopping = False
    async with bot(place, discord):
        waited, command = await complete(discord, count=2)
        assert waited["content"] == "waits"
        assert "Herding restarted" in status(command)


async def test_a_message_waits_for_the_database(
    place: Place, discord: FakeDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "STORE_SECONDS", 0.05)
    accept, failures = place.store.accept_message, iter([True] * 3)

    async def failing(message: object) -> bool:
        if next(failures, False):
            raise StoreError("disk full")
        return await accept(message)  # type: ignore[arg-type]

    monkeypatch.setattr(place.store, "accept_message", failing)
    async with bot(place, discord):
        discord.say(GENERAL, "hello")
        await complete(discord)


async def _done(place: Place, message_id: str) -> None:
    async with asyncio.timeout(60):
        while (found := await place.store.bot_message(message_id)) is None or found.state != "done":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
