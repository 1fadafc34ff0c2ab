"""The messages of one response, edited while it grows and brought to their final state whatever happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeVar

import aiohttp
import discord

from herding.bots.controls import Page, footer_of
from herding.bots.pages import to_pages
from herding.values import Outcome

EDIT_SECONDS = 1.5
"""Seconds between two edits; Discord allows five in five seconds and channel, for all responses in it."""

FIRST_SECONDS = 0.7
"""Seconds that a response may take to come as one message, without a placeholder."""

REFUSED = "Discord does not accept the text of this response. It is in the history."
MAX_PAUSE = 60.0
DELIVERY_SECONDS = 3_600.0
"""Seconds for which the final state is sent again after failures."""

TEMPORARY = (OSError, aiohttp.ClientError, asyncio.TimeoutError, RuntimeError)

log = logging.getLogger(__name__)


T = TypeVar("T")


def is_temporary(error: Exception) -> bool:
    """Return whether a later attempt at a call of Discord may succeed."""
    if isinstance(error, discord.HTTPException):
        return error.status in (408, 429) or error.status >= 500
    return isinstance(error, TEMPORARY)


async def persist(call: Callable[[], Awaitable[T]]) -> T:
    """Return the result of a call, made again after failures that pass, for an hour."""
    loop = asyncio.get_running_loop()
    begun, pause = loop.time(), 1.0
    while True:
        try:
            return await call()
        except (discord.HTTPException, *TEMPORARY) as error:
            if not is_temporary(error) or loop.time() - begun > DELIVERY_SECONDS:
                raise
            log.warning("Discord call waits (%s): again in %.0f s", error, pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, MAX_PAUSE)


class GoneError(Exception):
    """The messages cannot be changed any more: they or their channel were deleted, or the bot may not write there."""


class Target(Protocol):
    """The place of a response. Methods raise GoneError where no later attempt can succeed."""

    async def create(self, page: Page, number: int, *, again: bool) -> int:
        """Send message `number` (from 0) and return its id; `again` after an attempt that may have succeeded."""

    async def edit(self, message_id: int, page: Page) -> None:
        """Change a message."""

    async def delete(self, message_id: int) -> None:
        """Delete a message."""


@dataclass(slots=True)
class _Sent:
    id: int
    page: Page | None


class Reply:
    """A response as it is shown. `sent` are messages that there are already, `on_sent` gets all ids when one is added.

    `deliver` sends the newest state; it runs in a task beside the request and returns when the final state arrived.
    """

    def __init__(
        self,
        target: Target,
        *,
        question: str | None = None,
        sent: Sequence[int] = (),
        on_sent: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        self._target, self._question, self._on_sent = target, question, on_sent
        self._sent = [_Sent(id, None) for id in sent]
        self._text: list[str] = []
        self._state = Page()
        self._changed, self._ended = asyncio.Event(), asyncio.Event()
        self._may_exist = self._text_refused = False

    def add(self, text: str) -> None:
        """Add text to the response."""
        if text:
            self._text.append(text)
            self._state = replace(self._state, status=None)
            self._changed.set()

    def wait(self, request_id: str, status: str | None) -> None:
        """Show that the request waits, or runs with None."""
        self._state = Page(status=status, buttons="stop", request_id=request_id)
        self._changed.set()

    def finish(self, outcome: Outcome) -> None:
        """Show the whole response."""
        note = {"cancelled": "Stopped.", "partial": "The response is incomplete: the model broke off."}
        status = note.get(outcome.status) or (
            None if outcome.answer.strip() else outcome.note or "The response is empty."
        )
        self._text = [outcome.answer]
        self._end(
            Page(
                status=status,
                references=outcome.references or (),
                footer=footer_of(outcome),
                buttons="rate",
                request_id=outcome.request_id,
            )
        )

    def fail(self, message: str, *, rated: str | None = None) -> None:
        """Show an error, below the text so far."""
        buttons: Literal["rate"] | None = "rate" if rated and self._text else None
        self._end(Page(status=message, tone="error", buttons=buttons, request_id=rated))

    async def deliver(self) -> None:
        """Send the state as it changes, until the final one has arrived. Raises GoneError."""
        await self._pause(FIRST_SECONDS)
        while True:
            await self._changed.wait()
            self._changed.clear()
            final = self._ended.is_set()
            try:
                await persist(self._send)
            except (discord.HTTPException, *TEMPORARY) as error:
                if final and not self._text_refused and getattr(error, "status", 0) == 400:
                    self._refuse_text(error)
                    continue
                raise GoneError(str(error)) from error
            if final and not self._changed.is_set():
                return
            await self._pause(EDIT_SECONDS)

    def _refuse_text(self, error: Exception) -> None:
        """Show that the platform does not accept the text, in place of it, so that its user does not wait for it."""
        log.warning("Discord refused the text of a response: %s", error)
        self._text_refused, self._text = True, []
        self._end(replace(self._state, status=REFUSED, tone="error", references=()))

    def _end(self, page: Page) -> None:
        self._state = page
        self._ended.set()
        self._changed.set()

    async def _pause(self, seconds: float) -> None:
        """Wait, at most until the response is complete."""
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            pass

    def _pages(self) -> list[Page]:
        """Return the messages that show the current state."""
        texts = to_pages("".join(self._text)) or [""]
        pages = [Page(content=text) for text in texts]
        pages[-1] = replace(self._state, content=texts[-1])
        if self._question is not None:
            pages[0] = replace(pages[0], question=self._question)
        return [page for page in pages if not page.empty]

    async def _send(self) -> None:
        """Bring the messages to the current state."""
        pages = self._pages()
        for number, page in enumerate(pages):
            if number < len(self._sent):
                if self._sent[number].page != page:
                    await self._target.edit(self._sent[number].id, page)
                    self._sent[number].page = page
                continue
            again, self._may_exist = self._may_exist, True
            created = await self._target.create(page, number, again=again)
            self._may_exist = False
            self._sent.append(_Sent(created, None if again else page))
            await self._on_sent([str(one.id) for one in self._sent])
            if again:  # an earlier attempt made the message, maybe of an earlier state
                await self._target.edit(created, page)
                self._sent[number].page = page
        for surplus in self._sent[len(pages) :] if pages else ():
            await self._target.delete(surplus.id)
            self._sent.remove(surplus)
