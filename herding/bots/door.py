"""Keeps the Discord bot running beside the app, and knows its state. The library loads when it starts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from herding.bots.service import BotService

if TYPE_CHECKING:
    from herding.bots.client import DiscordBot

FIRST_PAUSE, MAX_PAUSE = 5.0, 300.0
"""Seconds between two starts after a failure; they double up to the maximum."""

TOKEN_REFUSED = "Discord refused the token. Set DISCORD_BOT_TOKEN to the one of the bot, then restart Herding."
NO_CONTENT = (
    "the intent Message Content is off in Discord's portal, so messages that don't mention the bot have no text: "
    "turn it on, or set message_content: false"
)

_FATAL_CLOSES = {
    4004: TOKEN_REFUSED,
    4010: "Discord refused the shard of the bot.",
    4011: "The bot is in so many servers that Discord wants several shards, which Herding does not have.",
    4012: "Discord does not take this version of its protocol any more. Update Herding.",
    4013: "Discord refused the intents of the bot.",
}

log = logging.getLogger(__name__)

State = Literal["starting", "connected", "reconnecting", "failed", "stopped"]


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
        self._bot: DiscordBot | None = None
        self.status = DoorStatus("starting")

    async def run(self) -> None:
        """Keep the bot running; never returns. Never raises an error of Discord's."""
        pause = FIRST_PAUSE
        while True:
            begun = asyncio.get_running_loop().time()
            problem = await self._run_once()
            if problem is None:
                await asyncio.Event().wait()
            if asyncio.get_running_loop().time() - begun > MAX_PAUSE:
                pause = FIRST_PAUSE
            self._tell("reconnecting", f"{problem}; next attempt in {pause:.0f} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE)

    async def _run_once(self) -> str | None:
        """Run the bot until it ends. Return what to say before the next attempt, None where there is none."""
        self._tell("starting", "")
        client = await asyncio.to_thread(_load)
        discord = client.discord
        client.use_api(self._api)
        self._bot = bot = client.DiscordBot(
            self._service, content=self._content, told=self._told, proxy=self._proxy
        )
        try:
            await bot.start(self._token, reconnect=True)
        except discord.LoginFailure:
            return self._give_up(TOKEN_REFUSED)
        except discord.PrivilegedIntentsRequired:
            if not self._content:
                return self._give_up("Discord refused the intents of the bot.")
            log.warning("Discord bot without message content: %s", NO_CONTENT)
            self._content = False
            return "the intent Message Content is off"
        except discord.ConnectionClosed as error:
            if error.code in _FATAL_CLOSES:
                return self._give_up(_FATAL_CLOSES[error.code])
            return f"Discord closed the connection ({error.code})"
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 (a bot must never take the app with it)
            log.debug("Discord bot ended", exc_info=True)
            return f"Discord is not reachable ({type(error).__name__}: {error})"[:300]
        finally:
            self._bot = None
            with suppress(Exception):
                await bot.close()
        return "the connection ended"

    def _told(self, state: State, detail: str) -> None:
        if not self._content and self._service.file.message_content:
            detail = f"{detail}; {NO_CONTENT}"
        self._tell(state, detail)

    def _give_up(self, problem: str) -> None:
        log.error("Discord bot stopped: %s", problem)
        self._tell("failed", problem)

    def _tell(self, state: State, detail: str) -> None:
        status = DoorStatus(state, detail)
        if status == self.status:
            return
        self.status = status
        if state in ("connected", "reconnecting"):
            log.info("Discord bot %s (%s)", state, detail)
        if self._on_change:
            self._on_change(status)


def _load() -> object:
    """Load the library and the client. Blocks."""
    from herding.bots import client  # takes half a second, and only bots need it

    return client
