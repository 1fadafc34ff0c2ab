"""The Discord bot as the settings describe it, and as a program of its own beside a server."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from urllib.parse import quote

from herding.bots.config import read_discord_file
from herding.bots.door import DiscordDoor, DoorStatus
from herding.bots.remote import RemoteService
from herding.bots.service import BotService
from herding.errors import ConfigError
from herding.nodes.network import Network
from herding.settings import Settings, network_environment, revealed
from herding.store import Store, now_ms


def build_door(
    service: BotService, settings: Settings, token: str, on_change: Callable[[DoorStatus], None]
) -> DiscordDoor:
    """Return the bot with the service that answers for it; `on_change` gets its state."""
    proxy = Network.from_environment(network_environment()).proxy_of(settings.discord_api)
    return DiscordDoor(service, token=token, api=settings.discord_api, proxy=proxy, on_change=on_change)


async def serve_discord(settings: Settings, *, stop: asyncio.Event | None = None) -> None:
    """Run the Discord bot beside a server, until a signal ends the process or `stop` is set.

    What it accepted is in a database of its own. Raises ConfigError without a token, and for one that Discord refuses.
    """
    token = revealed(settings.discord_bot_token)
    if token is None:
        raise ConfigError("set the token of the bot, from Discord's portal.", key="DISCORD_BOT_TOKEN")
    file = await asyncio.to_thread(read_discord_file, settings.discord)
    stop, loop = stop or asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # Windows, or not the main thread
            loop.add_signal_handler(name, stop.set)
    problem = ""

    def changed(status: DoorStatus) -> None:
        nonlocal problem
        if status.state == "failed":
            problem = status.detail
            stop.set()

    store = await Store.open(f"sqlite:///{quote(str(settings.home.absolute() / 'discord.sqlite'))}")
    service = RemoteService(
        server=settings.server, token=revealed(settings.token), store=store, file=file, clock=now_ms
    )
    try:
        async with build_door(service, settings, token, changed).open():
            await stop.wait()
    finally:
        await service.close()
        await store.close()
    if problem:
        raise ConfigError(problem, key="DISCORD_BOT_TOKEN")
