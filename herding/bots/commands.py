"""Slash commands, buttons and dialogs of the Discord bot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from typing import Any, Protocol

import discord
from discord import app_commands

from herding.bots.config import ChannelEntry
from herding.bots.controls import PREFIX, comment_dialog, question_dialog, typed_text
from herding.bots.inbox import Inbox
from herding.bots.pages import MAX_PAGE, shorten
from herding.bots.service import BotService, DiscordUser, Question
from herding.errors import HerdingError, NotFoundError
from herding.values import BotMessage

REGISTER_SECONDS = 60.0
MAX_CUSTOM_ID = 100
ALREADY_ACKNOWLEDGED, UNKNOWN_INTERACTION = 40060, 10062
NOT_SERVED = "The bot is not available here."
NOT_YOURS = "This request is not running any more, or another user asked for it."
HELP = (
    "Mention me with your question, or use `/ask`. In a thread that I started, just write: I read its earlier "
    "messages. Rate each response with the stars below it. `/privacy` chooses what is stored of your questions."
)
STORED = "The texts of your questions and responses are stored from now on."
NOT_STORED = (
    "From now on only counts, times and ratings of your questions are stored, no texts. Comments are not possible then."
)

Interaction = discord.Interaction[Any]

log = logging.getLogger(__name__)


class Responder(Protocol):
    """The part of the bot that responds to questions."""

    def entry(self, channel: Any) -> ChannelEntry:
        """Return what the file says for a channel."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work beside the events."""

    async def respond_to_command(self, interaction: Interaction, question: Question, accepted: BotMessage) -> None:
        """Respond to a slash command."""


class Commands:
    """Registers the commands with Discord, and handles what users click and type.

    Discord must get a first response within three seconds; it comes before all else.
    """

    def __init__(self, client: discord.Client, bot: Responder, service: BotService, inbox: Inbox) -> None:
        self._bot, self._service, self._inbox = bot, service, inbox
        self._tree = app_commands.CommandTree(client)
        for command in self._commands():
            self._tree.add_command(command)

    def _commands(self) -> list[app_commands.Command[Any, Any, None]]:
        """Return the commands. The library reads the parameters of functions, not of methods."""
        contexts = app_commands.AppCommandContext(guild=True, dm_channel=self._service.file.direct_messages)

        @app_commands.command(description="Ask a question")
        @app_commands.describe(
            question="Your question; leave it out to write a longer one",
            prompt="Prompt that responds; default: that of the channel",
            collection="Collection of documents to search",
        )
        async def ask(
            interaction: Interaction,
            question: app_commands.Range[str, 1, 4_000] | None = None,
            prompt: app_commands.Range[str, 1, 300] | None = None,
            collection: app_commands.Range[str, 1, 64] | None = None,
        ) -> None:
            await self._ask(interaction, question, prompt or "", collection or "")

        @app_commands.command(description="Choose whether the texts of your questions are stored")
        @app_commands.describe(store="False: only counts, times and ratings")
        async def privacy(interaction: Interaction, store: bool) -> None:
            done = STORED if store else NOT_STORED
            await self._act(interaction, done, self._service.store_content(store, user_of(interaction)))

        @app_commands.command(name="help", description="How to use the bot")
        async def guide(interaction: Interaction) -> None:
            await _quietly(interaction.response.send_message(HELP, ephemeral=True))

        ask.autocomplete("prompt")(self._prompts)
        ask.autocomplete("collection")(self._collections)
        commands: list[app_commands.Command[Any, Any, None]] = [ask, privacy, guide]
        for command in commands:
            command.allowed_contexts = contexts
        return commands

    async def register(self) -> None:
        """Register the commands with Discord; again until it succeeds."""
        while True:
            try:
                await self._tree.sync()
                return
            except (discord.DiscordException, OSError, TimeoutError) as error:
                log.warning("Discord commands not registered (again in %.0f s): %s", REGISTER_SECONDS, error)
                await asyncio.sleep(REGISTER_SECONDS)

    async def handle(self, interaction: Interaction) -> None:
        """Handle a button or a dialog by its id."""
        data: Any = interaction.data or {}
        prefix, _, given = str(data.get("custom_id", "")).partition(":")
        if prefix != PREFIX:
            return
        action, _, argument = given.partition(":")
        user = user_of(interaction)
        if action == "rate":
            request_id, _, stars = argument.rpartition(":")
            if stars in ("1", "2", "3", "4", "5"):
                await self._act(interaction, f"Rated {stars} of 5.", self._service.rate(request_id, int(stars), user))
        elif action == "stop":
            await self._act(interaction, "Stopped.", self._stop(argument, user))
        elif action == "comment":
            await _quietly(interaction.response.send_modal(comment_dialog(argument)))
        elif action == "said":
            text = typed_text(data)
            done = "Comment saved." if text.strip() else "Comment removed."
            await self._act(interaction, done, self._service.comment(argument, text, user))
        elif action == "ask":
            prompt, _, collection = argument.partition("|")
            if self._is_served(interaction):
                await self._begin(interaction, typed_text(data), prompt, collection)
            else:
                await _quietly(interaction.response.send_message(NOT_SERVED, ephemeral=True))

    async def _stop(self, request_id: str, user: DiscordUser) -> None:
        try:
            await self._service.stop(request_id, user)
        except NotFoundError:
            raise NotFoundError(NOT_YOURS) from None

    async def _ask(self, interaction: Interaction, question: str | None, prompt: str, collection: str) -> None:
        if not self._is_served(interaction):
            await _quietly(interaction.response.send_message(NOT_SERVED, ephemeral=True))
        elif question is not None:
            await self._begin(interaction, question, prompt, collection)
        elif len(f"{PREFIX}:ask:{prompt}|{collection}") > MAX_CUSTOM_ID:
            await _quietly(interaction.response.send_message("Give the question with the command.", ephemeral=True))
        else:
            await _quietly(interaction.response.send_modal(question_dialog(prompt, collection)))

    async def _begin(self, interaction: Interaction, text: str, prompt: str, collection: str) -> None:
        """Acknowledge a question, accept it once, and respond."""
        original = await self._acknowledge(interaction)
        accepted = await self._inbox.accept(
            interaction.id,
            "command",
            author=interaction.user.id,
            channel=interaction.channel_id,
            server=interaction.guild_id,
            replies=(original,) if original else (),
        )
        if accepted is None:
            return
        # A prompt of one's own takes nothing of what the file says for the prompt of the channel.
        own = prompt or (self._service.file.collection_prompt if collection else "")
        entry = ChannelEntry(prompt=own) if own else self._bot.entry(interaction.channel)
        question = Question(
            text=text,
            prompt=entry.prompt or "",
            variable=entry.variable,
            variables=entry.variables,
            collection=collection or entry.collection,
        )
        self._bot.spawn(self._bot.respond_to_command(interaction, question, accepted))

    async def _acknowledge(self, interaction: Interaction) -> int | None:
        """Tell Discord that a response follows, and return the id of its message; None where it was too late."""
        try:
            made = await interaction.response.defer(thinking=True)
            if made and made.message_id:
                return made.message_id
        except discord.HTTPException as error:
            if error.code not in (ALREADY_ACKNOWLEDGED, UNKNOWN_INTERACTION):
                log.warning("Discord command not acknowledged (%s): %s", interaction.id, error)
            if error.code == UNKNOWN_INTERACTION:
                return None
        try:
            return (await interaction.original_response()).id
        except discord.DiscordException:
            return None

    async def _prompts(self, interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        found = await self._suggested(self._service.prompts(typed, user_of(interaction)))
        return [app_commands.Choice(name=name[:100], value=key) for name, key in found if len(key) <= 100]

    async def _collections(self, interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        found = await self._suggested(self._service.collections(typed, user_of(interaction)))
        return [app_commands.Choice(name=name, value=name) for name in found]

    async def _suggested(self, wanted: Awaitable[list[Any]]) -> list[Any]:
        try:
            return await wanted
        except HerdingError:
            return []

    async def _act(self, interaction: Interaction, done: str, action: Awaitable[None]) -> None:
        """Do what a user asked for, and tell only them how it went."""
        await _quietly(interaction.response.defer(ephemeral=True, thinking=True))
        try:
            await action
            said = done
        except HerdingError as error:
            said = error.message
        await _quietly(interaction.edit_original_response(content=shorten(said, MAX_PAGE)))

    def _is_served(self, interaction: Interaction) -> bool:
        return self._service.file.serves(interaction.guild_id) and self._bot.entry(interaction.channel).enabled


def user_of(interaction: Interaction) -> DiscordUser:
    """Return the user of a command, a button or a dialog."""
    user = interaction.user
    return DiscordUser(user.id, tuple(role.id for role in getattr(user, "roles", ())))


async def _quietly(answer: Awaitable[Any]) -> None:
    """Send something to Discord; if that fails, the user sees it and clicks again."""
    try:
        await answer
    except (discord.DiscordException, OSError, TimeoutError) as error:
        log.info("Discord interaction not served: %s", error)
