"""The bot on a Discord of its own, with the real library: mentions, threads, commands, stars and what goes wrong."""

from __future__ import annotations

from tests.bots.conftest import bot
from tests.support.fakediscord import GENERAL, FakeDiscord
from tests.support.herding import ADMIN, Place


async def test_a_mention_is_answered_once_and_rated(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord):
        asked = discord.say(GENERAL, "hello llama")
        (reply,) = await discord.until(lambda: [m for m in discord.own(GENERAL) if "Comment" in discord.labels(m)])
        assert reply["content"] == "hello llama"
        assert reply["message_reference"]["message_id"] == asked["id"]
        assert discord.labels(reply) == ["1 ★", "2 ★", "3 ★", "4 ★", "5 ★", "Comment"]
        click = discord.click(reply, "4 ★")
        await discord.until(lambda: click.get("message", {}).get("content") == "Rated 4 of 5.")
        row = await place.row()
        assert row.principal == "discord:7"
        (rating,) = (await place.orchestrator.history.entry(row.request_id, ADMIN)).ratings
        assert (rating.principal, rating.stars) == ("discord:7", 4)
