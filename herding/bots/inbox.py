"""The messages that the bot took: each is stored before the work on it begins, so that it gets its response once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import discord

from herding.bots.reply import GoneError
from herding.errors import StoreError
from herding.store import Store
from herding.values import DISCORD, BotMessage
from herding.values.bots import MessageKind

BOT = "discord"
LEASE_MS = 60_000
RENEW_SECONDS = 15.0
POSITION_SECONDS = 5.0
STORE_SECONDS = 2.0
"""Seconds between two attempts to store something while the database fails."""

KEPT_MS = 7 * 24 * 3_600_000

log = logging.getLogger(__name__)


class Inbox:
    """Accepts messages, holds their leases while they are in work, and remembers up to where everything was seen.

    `caught_up` is False while messages of a pause may be missing: the position stays then.
    """

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store, self._clock = store, clock
        self._active: set[str] = set()
        self._left: set[str] = set()
        self._entering: set[int] = set()
        self._newest = self._saved = 0
        self.caught_up = False

    async def accept(
        self,
        id: int,
        kind: MessageKind,
        *,
        author: int,
        channel: int | None,
        server: int | None,
        replies: Sequence[int] = (),
    ) -> BotMessage | None:
        """Store a message durably and return it; None if it was accepted before. Waits while the database fails."""
        if str(id) in self._active or id in self._entering:
            return None
        now = self._clock()
        message = BotMessage(
            id=str(id),
            kind=kind,
            author=f"{DISCORD}{author}",
            channel=str(channel),
            server=str(server) if server else None,
            received_at=now,
            leased_until=now + LEASE_MS,
            replies=tuple(map(str, replies)),
        )
        self._entering.add(id)
        try:
            while True:
                try:
                    return message if await self._store.accept_message(message) else None
                except StoreError as error:
                    log.warning("Discord message waits for the database (%s): %s", id, error)
                    await asyncio.sleep(STORE_SECONDS)
        finally:
            self._entering.discard(id)
            if kind == "message":
                self.note_seen(id)

    def note_seen(self, id: int) -> None:
        """Note the id of a message that was seen."""
        self._newest = max(self._newest, id)

    async def change(self, message_id: str, **given: Any) -> None:
        """Store a change of a message; if the database fails, the recovery finds out by itself."""
        try:
            await self._store.change_message(message_id, **given)
        except StoreError as error:
            log.warning("Discord message not updated (%s): %s", message_id, error)

    # Work

    @asynccontextmanager
    async def working(self, message: BotMessage) -> AsyncIterator[None]:
        """Hold the lease of a message, and mark it as done at the end; it stays where the process ends before."""
        self._active.add(message.id)
        self._left.discard(message.id)
        try:
            yield
        except GoneError as error:
            log.warning("Discord response dropped (%s): %s", message.id, error)
        except (discord.NotFound, discord.Forbidden) as error:
            log.warning("Discord response not possible (%s): %s", message.id, error)
        except Exception:
            log.exception("Discord response failed (%s)", message.id)
        await self.change(message.id, state="done")
        self._active.discard(message.id)

    def leave(self, message: BotMessage) -> None:
        """Stop the work on a message before it has a response: its lease ends, and it is taken up again."""
        self._active.discard(message.id)
        self._left.add(message.id)

    @property
    def unfinished(self) -> list[str]:
        """The ids of the messages without a whole response."""
        return [*self._active, *self._left]

    async def hold_leases(self) -> None:
        """Renew the leases of the messages in work; never returns."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with suppress(StoreError):
                await self._store.lease_messages(list(self._active), self._clock() + LEASE_MS)

    async def release(self, ids: Sequence[str]) -> None:
        """Give up the leases of messages, and save the position."""
        with suppress(StoreError):
            await self._store.lease_messages(ids, 0)
            await self._save_position()

    async def take(self) -> list[BotMessage]:
        """Take over messages whose process ended before they had their response."""
        now = self._clock()
        found = await self._store.take_messages(now=now, until=now + LEASE_MS)
        return [message for message in found if message.id not in self._active]

    async def prune(self) -> None:
        """Delete what was done long ago."""
        await self._store.prune_messages(before=self._clock() - KEPT_MS)

    # Position

    async def position(self) -> int | None:
        """Return the id up to which everything was seen; None at the first start, from which on messages count."""
        found = await self._store.bot_position(BOT)
        if found is None:
            self.note_seen(snowflake(self._clock()))
            await self._store.save_bot_position(BOT, self._newest)
        return found

    async def keep_position(self) -> None:
        """Save up to where everything was seen; never returns."""
        while True:
            await asyncio.sleep(POSITION_SECONDS)
            with suppress(StoreError):
                await self._save_position()

    async def _save_position(self) -> None:
        position = min((self._newest, *(id - 1 for id in self._entering)))
        if self.caught_up and position > self._saved:
            await self._store.save_bot_position(BOT, position)
            self._saved = position


def snowflake(at: int) -> int:
    """Return the first id of an instant in Unix milliseconds."""
    return max(0, at - discord.utils.DISCORD_EPOCH) << 22


def time_of(id: int) -> int:
    """Return the instant of an id in Unix milliseconds."""
    return (id >> 22) + discord.utils.DISCORD_EPOCH
