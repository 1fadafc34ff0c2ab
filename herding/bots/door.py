"""Keeps the Discord bot running beside the app, and knows its state. The library loads when it starts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from herding.bots.service import BotService

if TYPE_CHECKING:
    from herding.bots.client import DiscordBot

FIRST_PAUSE, MAX_PAUSE = 5.0, 300.0
"""Seconds between two starts after a failure; they double up to the maximum."""

CLOSE_SECONDS = 5.0
"""The time in which the bot sends what is complete and disconnects."""

REFUSED = "Discord refused the token. Set DISCORD_BOT_TOKEN to the one of the bot, then restart Herding."
NO_CONTENT = (
    "the intent Message Content is off in Discord's portal, so messages that don't mention the bot have no text: "
    "turn it on, or set message_content: false"
)

_FATAL_CLOSES = {
    4004: REFUSED,
    4010: "Discord refused the shard of the bot.",
    4011: "The bot is in so many servers that Discord wants several shards, which Herding does not have.",
    4012: "Discord does not take this version of its protocol any more. Update Herding.",
    4013: "Discord refused the intents of the bot.",
}

log = logging.getLogger(__name__)

State = Literal["starting", "connected", "reconnecting", "failed", "stopped"]


class _FatalError(Exception):
    """An operator must act before another attempt makes sense; the message says how."""


@dataclass(frozen=True, slots=True)
class DoorStatus:
    """The state of the bot, with a detail for people."""

    state: State
    detail: str = ""


class DiscordDoor:
    """Runs the bot, and starts it again after whatever ended it; only what an operator must mend ends it for good."""

    def __init__(
        self,
        service: BotService,
        *,
        token: str,
        api: str,
        proxy: str | None = None,
        on_change: Callable[[DoorStatus], None] | None = None,
    ) -> None:
        self._service, self._token, self._api, self._proxy = service, token, api, proxy
        self._on_change = on_change
        self._content = service.file.message_content
        self.status = DoorStatus("starting")
        self.client: DiscordBot | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep the bot running while the block runs, and let it give up its work in order after it."""
        task = asyncio.create_task(self.run(), name="discord bot")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task], timeout=CLOSE_SECONDS)
            self._tell("stopped", "")

    async def run(self) -> None:
        """Keep the bot running; never returns. Never raises an error of Discord's."""
        pause = FIRST_PAUSE
        while True:
            begun = asyncio.get_running_loop().time()
            try:
                problem = await self._run_once()
            except _FatalError as error:
                log.error("Discord bot stopped: %s", error)
                self._tell("failed", str(error))
                await asyncio.Event().wait()
            except Exception as error:  # a bot must never take the app with it
                log.exception("Discord bot failed")
                problem = f"an error of its own: {error}"
            if asyncio.get_running_loop().time() - begun > MAX_PAUSE:
                pause = FIRST_PAUSE
            self._tell("reconnecting", f"{problem}; next attempt in {pause:.0f} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE)

    async def _run_once(self) -> str:
        """Run the bot until it ends. Return why it did, before the next attempt. Raises _FatalError."""
        self._tell("starting", "")
        await asyncio.to_thread(_load)
        import aiohttp
        import discord

        from herding.bots.client import DiscordBot, use_api

        use_api(self._api)
        self.client = bot = DiscordBot(self._service, content=self._content, told=self._told, proxy=self._proxy)
        try:
            await bot.start(self._token, reconnect=True)
        except discord.LoginFailure:
            raise _FatalError(REFUSED) from None
        except discord.PrivilegedIntentsRequired:
            if not self._content:
                raise _FatalError(_FATAL_CLOSES[4013]) from None
            log.warning("Discord bot without message content: %s", NO_CONTENT)
            self._content = False
            return "the intent Message Content is off"
        except discord.ConnectionClosed as error:
            if error.code in _FATAL_CLOSES:
                raise _FatalError(_FATAL_CLOSES[error.code]) from None
            return f"Discord closed the connection ({error.code})"
        except (discord.DiscordException, aiohttp.ClientError, OSError, AttributeError) as error:
            log.debug("Discord bot ended", exc_info=True)  # the library reports a failed first connection so, too
            return f"Discord is not reachable ({type(error).__name__}: {error})"[:300]
        finally:
            with suppress(Exception):
                await bot.close()
        return "the connection ended"

    def _told(self, state: State, detail: str) -> None:
        if not self._content and self._service.file.message_content:
            detail = f"{detail}; {NO_CONTENT}"
        self._tell(state, detail)

    def _tell(self, state: State, detail: str) -> None:
        status = DoorStatus(state, detail)
        if status == self.status:
            return
        self.status = status
        if state in ("connected", "reconnecting"):
            log.info("Discord bot %s (%s)", state, detail)
        if self._on_change:
            self._on_change(status)


def _load() -> None:
    """Load the library, which takes half a second. Blocks."""
    import herding.bots.client  # noqa: F401
