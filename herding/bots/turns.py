"""The question of a message, and the conversation before it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import discord

from herding.bots.controls import QUESTION_TITLE
from herding.values import Message

MAX_MESSAGES = 60
"""Earlier messages of a thread that are read."""

MAX_CHARS = 20_000
MAX_CHAIN = 10
"""Messages that a chain of replies is followed back."""


def question_of(message: discord.Message, bot_id: int) -> str:
    """Return the text of a message without the mention of the bot; other mentions as names."""
    text = re.sub(rf"<@!?{bot_id}>", " ", message.content)
    for user in message.mentions:
        text = text.replace(f"<@{user.id}>", f"@{user.display_name}").replace(f"<@!{user.id}>", f"@{user.display_name}")
    if message.guild and (role := message.guild.self_role):
        text = text.replace(f"<@&{role.id}>", " ")
    return re.sub(r"[ \t]{2,}", " ", text).strip()


async def thread_turns(
    thread: discord.abc.Messageable, before: discord.abc.Snowflake, *, asker: int, bot_id: int
) -> tuple[Message, ...]:
    """Return the messages of a thread before the one of `asker` as turns, oldest first."""
    found = [one async for one in thread.history(limit=MAX_MESSAGES, before=before)]
    return _turns([_opened(one) for one in reversed(found)], asker, bot_id)


async def reply_turns(message: discord.Message, bot_id: int) -> tuple[Message, ...]:
    """Return the messages that `message` replies to, one after the other back to the first, as turns."""
    chain: list[discord.Message] = []
    reference = message.reference
    while reference and reference.message_id and len(chain) < MAX_CHAIN:
        earlier = reference.resolved
        if not isinstance(earlier, discord.Message):
            try:
                earlier = await message.channel.fetch_message(reference.message_id)
            except (discord.NotFound, discord.Forbidden):
                break
        chain.append(earlier)
        reference = earlier.reference
    return _turns(list(reversed(chain)), message.author.id, bot_id)


def _opened(message: discord.Message) -> discord.Message:
    """Return the message of a channel that a thread starts with, for the one that stands for it in the thread."""
    if message.type is discord.MessageType.thread_starter_message and message.reference:
        resolved = message.reference.resolved
        return resolved if isinstance(resolved, discord.Message) else message
    return message


def _turns(messages: Sequence[discord.Message], asker: int, bot_id: int) -> tuple[Message, ...]:
    """Return messages as alternating turns of user and assistant, the newest that fit; several users by name."""
    people = {asker, *(one.author.id for one in messages if not one.author.bot)}
    said: list[tuple[str, str]] = []
    for one in messages:
        if one.author.id == bot_id:
            question = next((embed.description for embed in one.embeds if embed.title == QUESTION_TITLE), None)
            said += [("user", question)] if question else []
            said += [("assistant", one.content)] if one.content else []
        elif not one.author.bot and (text := question_of(one, bot_id)):
            said.append(("user", f"{one.author.display_name}: {text}" if len(people) > 1 else text))
    turns: list[Message] = []
    for role, text in said:
        if turns and turns[-1].role == role:
            turns[-1] = Message(turns[-1].role, f"{turns[-1].content}\n{text}")
        elif turns or role == "user":
            turns.append(Message("user" if role == "user" else "assistant", text))
    if turns and turns[-1].role == "user":  # without a response
        turns.pop()
    while turns and sum(len(turn.content) for turn in turns) > MAX_CHARS:
        del turns[:2]
    return tuple(turns)
