"""The messages that bots accepted: each is answered once, also by several processes and after a restart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from herding.store.database import Reader
from herding.store.rows import storable
from herding.store.tables import bot_message, bot_position, insert_into, lease_ended, upsert
from herding.store.writer import Writer
from herding.values import BotMessage, MessageState

BATCH = 20
"""The most messages that are taken over at once."""


class BotStore:
    """The part of the store that keeps what bots accepted. What is written is durable when a method returns."""

    _writer: Writer
    _reader: Reader

    async def accept_message(self, message: BotMessage) -> bool:
        """Add a message. Return False if it is there already: somebody else works on it, or did."""
        row = {name: storable(value) if isinstance(value, str) else value for name, value in asdict(message).items()}
        row["replies"] = list(message.replies)
        return await self._writer.call(lambda c: _insert(c, row)) == 1

    async def change_message(
        self,
        message_id: str,
        *,
        state: MessageState | None = None,
        request_id: str | None = None,
        place: str | None = None,
        replies: Sequence[str] | None = None,
    ) -> None:
        """Change what is given of a message, if it is there."""
        given: dict[str, Any] = {"state": state, "request_id": request_id, "place": place}
        given["replies"] = None if replies is None else list(replies)
        values = {name: value for name, value in given.items() if value is not None}
        change = update(bot_message).where(bot_message.c.id == storable(message_id)).values(**values)
        await self._writer.call(lambda c: c.execute(change).rowcount)

    async def lease_messages(self, message_ids: Sequence[str], until: int) -> None:
        """Hold the leases of messages until an instant; one in the past gives them up."""
        change = update(bot_message).where(bot_message.c.id.in_(list(message_ids))).values(leased_until=until)
        if message_ids:
            await self._writer.call(lambda c: c.execute(change).rowcount)

    async def take_messages(self, *, now: int, until: int) -> tuple[BotMessage, ...]:
        """Take over incomplete messages whose lease has ended, oldest first, and hold them until an instant."""
        return await self._writer.call(lambda c: _take(c, now=now, until=until))

    async def bot_message(self, message_id: str) -> BotMessage | None:
        """Return a message."""
        query = select(bot_message).where(bot_message.c.id == storable(message_id))
        found = await self._reader.run(lambda c: c.execute(query).first())
        return _message(found) if found else None

    async def direct_channels(self) -> tuple[str, ...]:
        """Return the channels of the direct messages that are stored."""
        query = select(bot_message.c.channel).where(bot_message.c.server.is_(None)).distinct()
        return tuple(await self._reader.run(lambda c: c.execute(query).scalars().all()))

    async def bot_position(self, bot: str) -> int | None:
        """Return up to which position a bot has seen everything; None before its first start."""
        query = select(bot_position.c.position).where(bot_position.c.bot == bot)
        found: int | None = await self._reader.run(lambda c: c.execute(query).scalar())
        return found

    async def save_bot_position(self, bot: str, position: int) -> None:
        """Save up to which position a bot has seen everything."""
        await self._writer.call(
            lambda c: c.execute(upsert(c.dialect.name, bot_position), [{"bot": bot, "position": position}]).rowcount
        )

    async def prune_messages(self, *, before: int) -> int:
        """Delete complete messages that came before an instant, and return their number."""
        old = delete(bot_message).where(bot_message.c.state == "done", bot_message.c.received_at < before)
        return await self._writer.call(lambda c: c.execute(old).rowcount)


def _insert(connection: Connection, row: dict[str, Any]) -> int:
    statement = insert_into(connection.dialect.name, bot_message).on_conflict_do_nothing()
    return connection.execute(statement.returning(bot_message.c.id), row).first() is not None


def _take(connection: Connection, *, now: int, until: int) -> tuple[BotMessage, ...]:
    columns = bot_message.c
    free = columns.state != "done", lease_ended(columns.leased_until, now)
    query = select(bot_message).where(*free).order_by(columns.received_at, columns.id).limit(BATCH)
    taken = []
    for row in connection.execute(query).all():
        change = update(bot_message).where(columns.id == row.id, *free).values(leased_until=until)
        if connection.execute(change).rowcount:  # else another process was first
            taken.append(_message(row))
    return tuple(taken)


def _message(row: Row[Any]) -> BotMessage:
    return BotMessage(**{**row._asdict(), "replies": tuple(row.replies)})
