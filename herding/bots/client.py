"""The Discord bot: takes each message and command once, and brings its response to the channel."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, Literal
from weakref import WeakValueDictionary

import discord
from discord.gateway import DiscordWebSocket
from discord.http import Route
from yarl import URL

from herding.bots.commands import Commands, user_of
from herding.bots.config import ChannelEntry
from herding.bots.inbox import BOT, Inbox, snowflake, time_of
from herding.bots.reply import TEMPORARY, Reply, Target, persist
from herding.bots.service import BotService, DiscordUser, Question
from herding.bots.targets import CommandTarget, MessageTarget
from herding.bots.turns import question_of, reply_turns, thread_turns
from herding.errors import HerdingError, LimitError, NoNodeError, ShuttingDownError, StoreError
from herding.values import DISCORD, BotMessage, Delta, Done, Message, Queued, Started

RECOVER_SECONDS = 10.0
OVERLAP_MS = 120_000
"""Messages that are older than the newest one by this much may still arrive."""

PRUNE_SECONDS = 3_600.0
MAX_MISSED = 500
"""Messages of one channel that are read after a pause."""

SPARE_STARTS = 5
FINISH_SECONDS = 2.0
"""The time in which complete responses are sent when the app stops."""

THREAD_NAME = 90
RETRY_SECONDS = 5.0

EMPTY = "Write your question after the mention."
FILES = "Attached files are not read. Write the text into the message. `/ask` without a question takes a longer one."
INTERRUPTED = "Herding restarted before this response was complete. Send the message again."

log = logging.getLogger(__name__)

Told = Callable[[Literal["connected", "reconnecting"], str], None]


class DiscordBot(discord.Client):
    """The client. `told` gets the state of the connection and a detail as it changes."""

    def __init__(self, service: BotService, *, content: bool, told: Told, proxy: str | None = None) -> None:
        intents = discord.Intents.none()
        intents.guilds = intents.guild_messages = intents.dm_messages = True
        intents.message_content = content
        super().__init__(
            intents=intents,
            allowed_mentions=discord.AllowedMentions.none(),
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_messages=None,
            proxy=proxy,
        )
        self._service, self._told = service, told
        self._works: set[asyncio.Task[None]] = set()
        self._delivering: set[asyncio.Task[None]] = set()
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._catching_up = asyncio.Lock()
        self._inbox = Inbox(service.store, service.clock)
        self._commands = Commands(self, self, service, self._inbox)

    @property
    def bot_id(self) -> int:
        """The id of the bot's own user."""
        return self.user.id if self.user else 0

    async def setup_hook(self) -> None:
        """Find the gateway, and start the work beside the events."""
        _, url, limit = await self.http.get_bot_gateway()
        DiscordWebSocket.DEFAULT_GATEWAY = URL(url)
        if limit["remaining"] < SPARE_STARTS:  # Discord resets the token of a bot that starts too often
            log.warning("Discord bot waits (%.0f s): it started too often today", limit["reset_after"] / 1000)
            await asyncio.sleep(limit["reset_after"] / 1000)
        for work in (
            self._commands.register(),
            self._inbox.hold_leases(),
            self._recover(),
            self._inbox.keep_position(),
        ):
            self.spawn(work)

    async def close(self) -> None:
        """End all work, give up its leases and disconnect."""
        if self._delivering:
            await asyncio.wait(self._delivering, timeout=FINISH_SECONDS)
        works, unfinished = list(self._works), self._inbox.unfinished
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        await self._inbox.release(unfinished)
        await super().close()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work beside the events, and log its error."""
        task = asyncio.create_task(work)
        self._works.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._works.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("Discord task failed", exc_info=error)

    # Events of the connection

    async def on_ready(self) -> None:
        """Read what was missed: after a new session, Discord does not send it."""
        self._inbox.caught_up = False
        self._tell_connected()
        self.spawn(self._catch_up())

    async def on_resumed(self) -> None:
        """Note that the connection is back; Discord has sent what was missed."""
        self._inbox.caught_up = not self._catching_up.locked()
        self._tell_connected()

    def _tell_connected(self) -> None:
        count = len(self.guilds)
        self._told("connected", f"as {self.user}, in {count} {'server' if count == 1 else 'servers'}")

    async def on_disconnect(self) -> None:
        """Note that the connection is lost; the library reconnects."""
        self._inbox.caught_up = False
        if not self.is_closed():
            self._told("reconnecting", "the connection was lost")

    async def on_message(self, message: discord.Message) -> None:
        """Accept a message to the bot, and respond to it unless that was done before."""
        if not self._is_asked(message):
            self._inbox.note_seen(message.id)
            return
        server = message.guild.id if message.guild else None
        author, channel = message.author.id, message.channel.id
        if accepted := await self._inbox.accept(message.id, "message", author=author, channel=channel, server=server):
            self.spawn(self._respond(message, accepted))

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        """Handle buttons and dialogs, also those of messages from before a restart."""
        await self._commands.handle(interaction)

    def _is_asked(self, message: discord.Message) -> bool:
        """Return whether a message is to the bot: it mentions it, is in a thread of it, or a direct message."""
        if message.author.bot or message.webhook_id or not self.entry(message.channel).enabled:
            return False
        if message.type not in (discord.MessageType.default, discord.MessageType.reply):
            return False
        if not self._service.file.serves(message.guild.id if message.guild else None):
            return False
        if message.guild is None or any(user.id == self.bot_id for user in message.mentions):
            return True
        role = message.guild.self_role
        if role and role.id in message.raw_role_mentions:
            return True
        own = isinstance(message.channel, discord.Thread) and message.channel.owner_id == self.bot_id
        return own and not message.mentions and not message.mention_everyone

    def entry(self, channel: Any) -> ChannelEntry:
        """Return what the file says for a channel, or for the channel of a thread."""
        return self._service.file.channel(getattr(channel, "id", None), getattr(channel, "parent_id", None))

    # Responses

    async def _respond(self, message: discord.Message, accepted: BotMessage) -> None:
        """Respond to a message, one after the other in a thread."""
        async with self._inbox.working(accepted):
            channel = message.channel
            in_thread = isinstance(channel, discord.Thread) or message.guild is None
            lock = self._locks.setdefault(channel.id if in_thread else message.id, asyncio.Lock())
            async with lock:
                await self._respond_in(message, accepted, in_thread=in_thread)

    async def _respond_in(self, message: discord.Message, accepted: BotMessage, *, in_thread: bool) -> None:
        entry, text = self.entry(message.channel), question_of(message, self.bot_id)
        place = int(accepted.place or 0)
        if not place and not in_thread and entry.threads and text and not message.reference:
            place = await self._start_thread(message, text) or 0
        if place:
            await self._inbox.change(accepted.id, place=str(place))
        target = MessageTarget(
            self._place(accepted, place),
            bot_id=self.bot_id,
            asked=message.id,
            replies_to=None if place else message.id,
        )
        reply = self._reply(target, accepted)
        if message.attachments or not text:
            reply.fail(FILES if message.attachments else EMPTY)
            await reply.deliver()
            return
        turns = await persist(lambda: self._turns(message, in_thread=in_thread))
        question = Question(
            text=text,
            prompt=entry.prompt or "",
            variable=entry.variable,
            variables=entry.variables,
            collection=entry.collection,
            turns=turns,
            session_id=f"{BOT}:{place or message.channel.id}" if place or in_thread else None,
        )
        await self._run(question, await self._user(message), reply, accepted)

    async def _turns(self, message: discord.Message, *, in_thread: bool) -> tuple[Message, ...]:
        """Return the conversation before a message: its thread, or what it replies to."""
        if not in_thread:
            return await reply_turns(message, self.bot_id)
        return await thread_turns(message.channel, message, asker=message.author.id, bot_id=self.bot_id)

    async def respond_to_command(
        self, interaction: discord.Interaction[Any], question: Question, accepted: BotMessage
    ) -> None:
        """Respond to a slash command; Discord made the first message when it was acknowledged."""
        async with self._inbox.working(accepted):
            place = self._place(accepted)
            target: Target
            if accepted.replies:
                target = CommandTarget(interaction, place, bot_id=self.bot_id, original=int(accepted.replies[0]))
            else:  # Discord did not take our acknowledgement in time
                target = MessageTarget(place, bot_id=self.bot_id, asked=interaction.id, replies_to=None)
            if isinstance(interaction.channel, discord.Thread):
                thread, asker = interaction.channel, interaction.user.id
                turns = await persist(lambda: thread_turns(thread, interaction, asker=asker, bot_id=self.bot_id))
                question = replace(question, turns=turns, session_id=f"{BOT}:{interaction.channel.id}")
            reply = self._reply(target, accepted, question=question.text)
            await self._run(question, user_of(interaction), reply, accepted)

    def _place(self, accepted: BotMessage, thread: int = 0) -> discord.PartialMessageable:
        """Return the channel or thread of a response."""
        server = int(accepted.server) if accepted.server else None
        return self.get_partial_messageable(thread or int(accepted.channel), guild_id=server)

    def _reply(self, target: Target, accepted: BotMessage, *, question: str | None = None) -> Reply:
        async def note(replies: Any) -> None:
            await self._inbox.change(accepted.id, replies=replies)

        return Reply(target, question=question, sent=[int(id) for id in accepted.replies], on_sent=note)

    async def _run(self, question: Question, user: DiscordUser, reply: Reply, accepted: BotMessage) -> None:
        """Run a request and show it. What was interrupted before a node took it stays, and is run after the restart."""
        delivery = asyncio.create_task(reply.deliver())
        request_id: str | None = None
        try:
            async with aclosing(self._service.ask(question, user)) as events:
                async for event in events:
                    match event:
                        case Queued():
                            reply.wait(
                                event.request_id, f"Waiting in the queue, position {event.position}: {event.reason}."
                            )
                        case Started():
                            request_id = event.request_id
                            reply.wait(request_id, "Writing the response.")
                            await self._inbox.change(accepted.id, state="started", request_id=request_id)
                        case Delta():
                            reply.add(event.text)
                        case Done():
                            reply.finish(event.outcome)
        except ShuttingDownError:
            if request_id is None:
                delivery.cancel()
                self._inbox.leave(accepted)
                raise asyncio.CancelledError from None
            reply.fail(INTERRUPTED)
        except HerdingError as error:
            reply.fail(self._words(error), rated=request_id)
        except BaseException:
            delivery.cancel()
            raise
        self._delivering.add(delivery)
        delivery.add_done_callback(self._delivering.discard)
        await delivery

    async def _start_thread(self, message: discord.Message, text: str) -> int | None:
        """Start a thread at a message and return its id; None where the bot may not."""
        if not isinstance(message.channel, discord.TextChannel):
            return None
        name = " ".join(text.split())[:THREAD_NAME]
        try:
            return (await persist(lambda: message.create_thread(name=name or "Question"))).id
        except discord.HTTPException as error:
            if error.code == 160004:  # it has one already, which has the same id
                return message.id
            log.info("Discord thread not started (%s): %s", message.channel.id, error)
            return None

    async def _user(self, message: discord.Message) -> DiscordUser:
        """Return the author of a message, with their roles where the file needs them."""
        author = message.author
        if self._service.file.roles and message.guild and not isinstance(author, discord.Member):
            with suppress(discord.HTTPException):
                author = await message.guild.fetch_member(author.id)
        return DiscordUser(author.id, tuple(role.id for role in getattr(author, "roles", ())))

    @staticmethod
    def _words(error: HerdingError) -> str:
        """Return an error with the time to come back, which Discord shows in the reader's own time."""
        wait = error.retry_after if isinstance(error, LimitError | NoNodeError) else None
        again = f" Try again <t:{int(time.time() + wait) + 1}:R>." if wait else ""
        return f"{error.message}{again}"

    # After a pause

    async def _catch_up(self) -> None:
        """Read the messages that came since the last one that was seen; again after a failure."""
        async with self._catching_up:
            while True:
                try:
                    await self._read_missed()
                except (StoreError, discord.HTTPException, *TEMPORARY) as error:
                    log.warning("Discord messages of a pause wait: %s", error)
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    self._inbox.caught_up = True
                    return

    async def _read_missed(self) -> None:
        position = await self._inbox.position()
        if position is None:
            return
        oldest = self._service.clock() - round(self._service.file.catch_up_hours * 3_600_000)
        after = discord.Object(snowflake(max(oldest, time_of(position) - OVERLAP_MS)))
        for channel in self._channels():
            if (getattr(channel, "last_message_id", None) or 0) > after.id:
                await self._read(channel, after)
        if self._service.file.direct_messages:
            for channel_id in await self._service.store.direct_channels():
                await self._read(self.get_partial_messageable(int(channel_id)), after)

    def _channels(self) -> list[Any]:
        guilds = [guild for guild in self.guilds if self._service.file.serves(guild.id)]
        return [channel for guild in guilds for channel in (*guild.text_channels, *guild.threads)]

    async def _read(self, channel: Any, after: discord.Object) -> None:
        """Take the messages of a channel as if they came now."""
        try:
            async for message in channel.history(after=after, limit=MAX_MISSED, oldest_first=True):
                await self.on_message(message)
        except (discord.Forbidden, discord.NotFound) as error:
            log.info("Discord channel not read (%s): %s", channel.id, error)

    async def _recover(self) -> None:
        """Respond to messages whose process ended before, and delete what is old; never returns."""
        await self.wait_until_ready()
        pruned = 0.0
        while True:
            now = self._service.clock()
            try:
                if now - pruned > PRUNE_SECONDS * 1000:
                    await self._inbox.prune()
                    pruned = now
                for found in await self._inbox.take():
                    self.spawn(self._resume(found))
            except StoreError as error:
                log.warning("Discord messages wait for the database: %s", error)
            await asyncio.sleep(RECOVER_SECONDS)

    async def _resume(self, found: BotMessage) -> None:
        """Complete what another process began: its stored response, a new one if no node had begun, or a notice."""
        if found.kind == "message" and found.request_id is None:
            try:
                channel: Any = self.get_channel(int(found.channel)) or await self.fetch_channel(int(found.channel))
                message = await channel.fetch_message(int(found.id))
            except (discord.NotFound, discord.Forbidden):
                await self._inbox.change(found.id, state="done")
            except (discord.HTTPException, *TEMPORARY) as error:  # the lease ends, and another attempt follows
                log.warning("Discord message waits (%s): %s", found.id, error)
            else:
                await self._respond(message, found)
            return
        async with self._inbox.working(found):
            thread = int(found.place or 0)
            asked = int(found.id)
            place = self._place(found, thread)
            target = MessageTarget(place, bot_id=self.bot_id, asked=asked, replies_to=None if thread else asked)
            if not found.replies and (sent := await persist(lambda: target.find(None, 0))):
                found = replace(found, replies=(str(sent),))
            reply = self._reply(target, found)
            author = DiscordUser(int(found.author.removeprefix(DISCORD)))
            outcome = await self._service.ended(found.request_id, author) if found.request_id else None
            if outcome:
                reply.finish(outcome)
            else:
                reply.fail(INTERRUPTED)
            await reply.deliver()


def use_api(base: str) -> None:
    """Send all calls to the API at `base`, which tells the address of the gateway."""
    Route.BASE = base.rstrip("/")
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # it needs no voice
