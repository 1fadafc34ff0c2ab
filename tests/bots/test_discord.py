"""The bot on a Discord of its own, with the real library: mentions, threads, commands, stars and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from herding.bots.config import DiscordFile, read_discord_file
from herding.errors import ConfigError
from herding.values import Limit, User
from tests.bots.conftest import bot, door_of
from tests.support.fakediscord import BOT_ROLE, CODE, GENERAL, QUIET, Body, FakeDiscord
from tests.support.herding import ADMIN, Place

ROOT = Path(__file__).resolve().parents[2]


async def complete(
    discord: FakeDiscord, channel: int = GENERAL, count: int = 1, *, seconds: float = 60.0
) -> list[Body]:
    """The bot's messages in a channel, once so many responses are complete."""

    def ended() -> list[Body]:
        return [m for m in discord.own(channel) if "Comment" in discord.labels(m) or _tone(m) == "error"]

    await discord.until(lambda: len(ended()) >= count, seconds)
    return ended()


def _tone(message: Body) -> str:
    return "error" if any(embed.get("color") == 0xC0392B for embed in message["embeds"]) else "info"


def status(message: Body) -> str:
    return " ".join(embed.get("description") or "" for embed in message["embeds"])


async def told(discord: FakeDiscord, interaction: Body) -> str:
    """The words that only the user of a button or command sees."""
    return str(await discord.until(lambda: interaction.get("message", {}).get("content")))


async def test_a_mention_is_answered_once_and_rated(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord):
        asked = discord.say(GENERAL, "hello llama")
        (reply,) = await complete(discord)
        assert reply["content"] == "hello llama"
        assert reply["message_reference"]["message_id"] == asked["id"]
        assert reply["allowed"]["parse"] == []
        assert discord.labels(reply) == ["1 ★", "2 ★", "3 ★", "4 ★", "5 ★", "Comment"]
        assert await told(discord, discord.click(reply, "4 ★")) == "Rated 4 of 5."
        assert await told(discord, discord.click(reply, "2 ★", user=8)) == "Rated 2 of 5."
        dialog = discord.click(reply, "Comment")
        opened = await discord.until(lambda: dialog["response"])
        assert opened["type"] == 9
        assert await told(discord, discord.fill(opened["data"], "kind")) == "Comment saved."
        row = await place.row()
        assert (row.principal, row.prompt) == ("discord:7", "say")
        ratings = (await place.orchestrator.history.entry(row.request_id, ADMIN)).ratings
        given = {(rating.principal, rating.stars, rating.comment) for rating in ratings}
        assert given == {("discord:7", 4, "kind"), ("discord:8", 2, None)}


async def test_buttons_work_after_a_restart(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord):
        discord.say(GENERAL, "before")
        (reply,) = await complete(discord)
        opened = discord.click(reply, "Comment")
        dialog = await discord.until(lambda: opened["response"])
    async with bot(place, discord):
        assert await told(discord, discord.click(reply, "5 ★")) == "Rated 5 of 5."
        assert await told(discord, discord.fill(dialog["data"], "still here")) == "Comment saved."


async def test_bots_and_what_is_not_for_it_are_left_alone(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord, channels={str(QUIET): {"enabled": False}}):
        discord.say(GENERAL, "not to the bot", mention=False)
        discord.say(QUIET, "in a silenced channel")
        discord.say(GENERAL, "from a bot", is_bot=True)
        discord.write_direct("a direct message")
        discord.say(GENERAL, "the last one")
        replies = await complete(discord)
        assert len(replies) == 1
        assert discord.own(QUIET) == discord.own(900_007) == []
        assert discord.said(GENERAL) == ["the last one"]


async def test_the_role_of_the_bot_counts_as_a_mention_and_other_names_are_readable(
    place: Place, discord: FakeDiscord
) -> None:
    async with bot(place, discord, direct_messages=True):
        discord.say(QUIET, f"<@&{BOT_ROLE}> ask <@8>", mention=False, names=8)
        (reply,) = await complete(discord, QUIET)
        assert reply["content"] == "ask @Bob"
        discord.write_direct("hello")
        (reply,) = await complete(discord, 900_007)
        assert reply["content"] == "hello"
        discord.say(GENERAL, "")
        (reply,) = await complete(discord)
        assert status(reply) == "Write your question after the mention."


async def test_a_mention_starts_a_thread_whose_messages_are_the_chat(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord, threads=True):
        asked = discord.say(GENERAL, "first question")
        thread = int(asked["id"])
        await complete(discord, thread)
        assert discord.channels[thread]["name"] == "first question"
        discord.say(thread, "second question", mention=False)
        await complete(discord, thread, 2)
        discord.say(thread, "third question", mention=False, user=8)
        await complete(discord, thread, 3)
        last, *_ = await place.rows()
        assert last.session_id == f"discord:{thread}"
        assert last.input.count("question") == 5
        said = [text for text in ("Ada: first", "assistant", "Ada: second", "third") if text in last.input]
        assert said == ["Ada: first", "assistant", "Ada: second", "third"]
        assert discord.said(thread)[0] == "first question"


async def test_without_permission_for_threads_it_replies_and_follows_the_replies(
    place: Place, discord: FakeDiscord
) -> None:
    discord.may_start_threads = False
    async with bot(place, discord, threads=True):
        discord.say(GENERAL, "first question")
        (reply,) = await complete(discord)
        discord.say(GENERAL, "second question", reply_to=reply)
        await complete(discord, count=2)
        last, *_ = await place.rows()
        assert last.input.count("first question") == 2


async def test_each_channel_has_its_prompt_and_its_variables(place: Place, discord: FakeDiscord) -> None:
    place.write(
        "shout",
        """
        name: Shout
        target_models: [echo]
        variables: {loud: {type: text}, tone: {type: text, default: calm}}
        messages: [{role: user, content: "{{tone}}: {{loud}}"}]
        """,
    )
    channels = {str(CODE): {"prompt": "shout", "variables": {"tone": "angry"}}}
    async with bot(place, discord, channels=channels):
        discord.say(CODE, "no")
        discord.say(GENERAL, "yes")
        (reply,) = await complete(discord, CODE)
        assert reply["content"] == "angry: no"
        (reply,) = await complete(discord)
        assert reply["content"] == "yes"


async def test_ask_shows_the_question_and_its_response(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord):
        await discord.until(lambda: discord.commands)
        assert {command["name"] for command in discord.commands} == {"ask", "privacy", "help"}
        discord.command("ask", question="why?")
        (reply,) = await complete(discord)
        assert reply["content"] == "why?"
        assert (reply["embeds"][0]["title"], reply["embeds"][0]["description"]) == ("Question", "why?")
        asked = discord.command("ask", prompt="say")
        dialog = await discord.until(lambda: asked["response"])
        discord.fill(dialog["data"], "a long question")
        replies = await complete(discord, count=2)
        assert replies[1]["content"] == "a long question"
        event = {"name": "prompt", "type": 3, "value": "sa", "focused": True}
        typed = discord._interact(
            4, {"id": "5000", "name": "ask", "type": 1, "options": [event]}, user=7, channel=GENERAL
        )
        offered = await discord.until(lambda: typed["response"])
        assert offered["data"]["choices"] == [{"name": "Say", "value": "say"}]


async def test_ask_names_a_prompt_that_does_not_search(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord, collection_prompt="say"):
        discord.command("ask", question="why?", collection="docs")
        (reply,) = await complete(discord)
        assert "does not search a collection" in status(reply)
        discord.command("ask", question="why?", prompt="ghost")
        replies = await complete(discord, count=2)
        assert "There is no prompt 'ghost'." in status(replies[1])


async def test_a_response_grows_is_stopped_by_its_user_only_and_keeps_its_text(
    place: Place, discord: FakeDiscord
) -> None:
    async with bot(place, discord, prompt="endless"):
        discord.say(GENERAL, "go on")
        (reply,) = await discord.until(lambda: [m for m in discord.own(GENERAL) if m["content"]])
        assert (reply["content"], discord.labels(reply)) == ("one two", ["Stop"])
        assert "another user" in await told(discord, discord.click(reply, "Stop", user=8))
        assert await told(discord, discord.click(reply, "Stop")) == "Stopped."
        (reply,) = await complete(discord)
        assert (reply["content"].strip(), status(reply)) == ("one two", "Stopped.")


async def test_a_long_response_is_several_messages_with_the_buttons_below_the_last(
    place: Place, discord: FakeDiscord
) -> None:
    place.write("long", LONG)
    text = "\n\n".join("word " * 100 for _ in range(12)) + "\n\n```python\n" + "print(1)\n" * 100 + "```"
    place.herd["endless"]._words, place.herd["endless"]._ends = [text], True  # type: ignore[attr-defined]
    async with bot(place, discord, prompt="endless"):
        discord.say(GENERAL, "much")
        await complete(discord)
        pages = discord.own(GENERAL)
        assert len(pages) > 3
        assert [bool(discord.labels(page)) for page in pages] == [False] * (len(pages) - 1) + [True]
        assert sum(page["content"].count("```") for page in pages) == 2
        assert "".join("".join(page["content"] for page in pages).split()) == "".join(text.split())


LONG = """
    name: Long
    target_models: [endless]
    variables: {message: {type: text}}
    messages: [{role: user, content: "{{message}}"}]
    """


async def test_who_waits_is_told(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord, prompt="endless"):
        discord.say(GENERAL, "first")
        await discord.until(lambda: [m for m in discord.own(GENERAL) if m["content"]])
        discord.say(CODE, "second", user=8)
        (waiting,) = await discord.until(lambda: discord.own(CODE))
        assert status(waiting).startswith("Waiting in the queue, position 1: waits for a free place on endless")
        (first,) = discord.own(GENERAL)
        discord.click(first, "Stop")
        (waiting,) = await discord.until(lambda: [m for m in discord.own(CODE) if m["content"]])
        discord.click(waiting, "Stop", user=8)
        await complete(discord, CODE)


async def test_errors_are_in_plain_words_and_limits_say_when(place: Place, discord: FakeDiscord) -> None:
    await place.accounts.add_user(User("discord:8", "Bob", "guest", limits=(Limit("request", 1, 1),)), ADMIN)
    await place.accounts.add_user(User("discord:9", "Eve", "guest", disabled=True), ADMIN)
    async with bot(place, discord):
        discord.say(GENERAL, "x" * 4_001)
        discord.say(CODE, "one", user=8)
        await complete(discord, CODE)
        discord.say(CODE, "two", user=8)
        replies = await complete(discord, CODE, 2)
        assert "Try again <t:" in status(replies[1])
        (reply,) = await complete(discord)
        assert "4,000 characters" in status(reply)
        discord.say(QUIET, "hello", user=9)
        (reply,) = await complete(discord, QUIET)
        assert "disabled" in status(reply)


async def test_roles_come_from_the_server_or_the_file(place: Place, discord: FakeDiscord) -> None:
    place.write("internal", SECRET)
    discord.members[8] = ["4711"]
    async with bot(place, discord, prompt="internal", roles={"4711": "user"}):
        discord.say(GENERAL, "hello")
        (reply,) = await complete(discord)
        assert "There is no prompt 'internal'." in status(reply)
        discord.say(CODE, "hello", user=8)
        (reply,) = await complete(discord, CODE)
        assert reply["content"] == "hello"


SECRET = """
    name: Internal
    roles: [user]
    target_models: [echo]
    variables: {message: {type: text}}
    messages: [{role: user, content: "{{message}}"}]
    """


async def test_privacy_keeps_no_texts(place: Place, discord: FakeDiscord) -> None:
    async with bot(place, discord):
        assert "no texts" in await told(discord, discord.command("privacy", store=False))
        discord.say(GENERAL, "my secret")
        (reply,) = await complete(discord)
        assert reply["content"] == "my secret"
        row = await place.row()
        assert (row.principal, row.input, row.answer) == ("discord:7", "", "")
        assert await told(discord, discord.click(reply, "5 ★")) == "Rated 5 of 5."
        dialog = discord.click(reply, "Comment")
        opened = await discord.until(lambda: dialog["response"])
        assert "no texts of yours are kept" in await told(discord, discord.fill(opened["data"], "hm"))
        assert "stored" in await told(discord, discord.command("privacy", store=True))
        helped = discord.command("help")
        assert "/ask" in await told(discord, helped)


@pytest.mark.parametrize("wrong", [{"promt": "say"}, {"role": "king"}, {"channels": {"general": {}}}])
async def test_a_wrong_file_is_refused_with_its_key(place: Place, discord: FakeDiscord, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"discord\.yaml"):
        door_of(place, discord, **wrong)


def test_the_shipped_file_is_valid() -> None:
    file = read_discord_file(ROOT / "config" / "discord.yaml", ["guest"])
    assert file == DiscordFile()


def test_what_a_channel_does_not_say_is_as_at_the_top() -> None:
    file = DiscordFile.model_validate(
        {"prompt": "a", "variable": "x", "threads": False, "channels": {"1": {"prompt": "b"}, "2": {"threads": True}}}
    )
    assert (file.channel(1, 5).prompt, file.channel(1, 5).variable, file.channel(1, 5).threads) == ("b", None, False)
    assert (file.channel(9, 2).prompt, file.channel(9, 2).variable, file.channel(9, 2).threads) == ("a", "x", True)
