"""Where responses go: below a message of a channel, or in place of a slash command."""

from __future__ import annotations

from typing import Any

import discord

from herding.bots.controls import Page
from herding.bots.reply import GoneError

_TOKEN_ENDED = (401, 404)
"""Statuses of Discord for an interaction whose token has expired, after 15 minutes."""

SEARCHED = 50
"""Messages that are searched for one that may have been sent."""

Place = discord.PartialMessageable


class MessageTarget:
    """Messages in a channel; the first one replies to the message that asked.

    Each is sent with a nonce, under which Discord creates it once, also if it is sent again after a lost connection.
    """

    def __init__(self, place: Place, *, bot_id: int, asked: int, replies_to: int | None) -> None:
        self._place, self._bot_id, self._asked, self._replies_to = place, bot_id, asked, replies_to
        self._last: int | None = None

    async def create(self, page: Page, number: int, *, again: bool) -> int:
        """Send a message and return its id."""
        if again and (found := await self.find(page, number)):
            return found
        options: dict[str, Any] = {"nonce": f"{self._asked}-{number}"}
        if number == 0 and self._replies_to is not None:
            options["reference"] = discord.MessageReference(
                message_id=self._replies_to, channel_id=self._place.id, fail_if_not_exists=False
            )
            options["mention_author"] = False
        if view := page.view():
            options["view"] = view
        sent = await self._place.send(page.content or None, embeds=page.embeds(), **options)
        self._last = sent.id
        return sent.id

    async def edit(self, message_id: int, page: Page) -> None:
        """Change a message."""
        message = self._place.get_partial_message(message_id)
        await message.edit(content=page.content or None, embeds=page.embeds(), view=page.view())

    async def delete(self, message_id: int) -> None:
        """Delete a message."""
        await self._place.get_partial_message(message_id).delete()

    async def find(self, page: Page | None, number: int) -> int | None:
        """Return the id of a message that was sent without its id becoming known."""
        after = discord.Object(self._last or self._asked)
        try:
            async for message in self._place.history(after=after, limit=SEARCHED, oldest_first=True):
                if message.author.id != self._bot_id:
                    continue
                refers = message.reference is not None and message.reference.message_id == self._replies_to
                same = page is None or message.content == page.content
                if refers if number == 0 and self._replies_to is not None else same:
                    self._last = message.id
                    return message.id
        except discord.Forbidden:
            pass
        return None


class CommandTarget:
    """The response to a slash command, which `original` is the first message of.

    It is edited with the token of the command, and as an ordinary message of the channel once that has expired.
    """

    def __init__(self, interaction: discord.Interaction[Any], place: Place, *, bot_id: int, original: int) -> None:
        self._interaction, self._original = interaction, original
        self._rest = MessageTarget(place, bot_id=bot_id, asked=original, replies_to=None)
        self._token_works = True

    async def create(self, page: Page, number: int, *, again: bool) -> int:
        """Send a further message and return its id."""
        if again and (found := await self._rest.find(page, number)):
            return found
        if self._has_token:
            options: dict[str, Any] = {"view": view} if (view := page.view()) else {}
            try:
                sent = await self._interaction.followup.send(
                    page.content or "", embeds=page.embeds(), wait=True, **options
                )
                return sent.id
            except discord.HTTPException as error:
                self._lose_token(error)
        return await self._rest.create(page, number, again=False)

    async def edit(self, message_id: int, page: Page) -> None:
        """Change a message."""
        if self._has_token:
            try:
                await self._interaction.followup.edit_message(
                    message_id, content=page.content or None, embeds=page.embeds(), view=page.view()
                )
                return
            except discord.HTTPException as error:
                self._lose_token(error)
        await self._rest.edit(message_id, page)

    async def delete(self, message_id: int) -> None:
        """Delete a message."""
        await self._rest.delete(message_id)

    @property
    def _has_token(self) -> bool:
        return self._token_works and not self._interaction.is_expired()

    def _lose_token(self, error: discord.HTTPException) -> None:
        """Go on without the token. Raises the error if it is about something else."""
        if error.status not in _TOKEN_ENDED:
            raise error
        if error.code == 10008:  # the message was deleted
            raise GoneError(str(error)) from error
        self._token_works = False
