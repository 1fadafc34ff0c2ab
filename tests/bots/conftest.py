"""The Discord bot as the product wires it, on a Discord of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import discord as library
import pytest
import yaml
from discord.state import ConnectionState
from pydantic import SecretStr

from herding.bots.door import DiscordDoor
from herding.main import discord_door
from herding.store import now_ms
from tests.support.fakediscord import TOKEN, FakeDiscord, fake_discord
from tests.support.herding import Place, herding
from tests.support.nodes import Scripted, echo

SAY = """
    name: Say
    target_models: [echo]
    chat: true
    variables:
      message: {type: text, max_chars: 4000}
    messages: [{role: user, content: "{{message}}"}]
    """
ENDLESS = """
    name: Endless
    target_models: [endless]
    variables:
      message: {type: text}
    messages: [{role: user, content: "{{message}}"}]
    """

SERVERS_SECONDS = 0.2


@pytest.fixture(autouse=True)
def servers_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library wait for no more servers once Discord has sent all: it takes two seconds of silence for that."""
    make = ConnectionState.__init__

    def hasty(state: ConnectionState, **options: Any) -> None:
        make(state, **options)
        state.guild_ready_timeout = SERVERS_SECONDS

    monkeypatch.setattr(ConnectionState, "__init__", hasty)


@pytest.fixture(autouse=True)
def identified_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library open its next session without the five seconds that it waits before each."""

    async def at_once(*_: Any, **__: Any) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(library.Client, "before_identify_hook", at_once)


@pytest.fixture
def endless() -> Scripted:
    """A node for one request at a time, which ends only when it is stopped."""
    node = Scripted("endless", ["one ", "two "], models=("endless",), ends=False)
    node.concurrency = 1
    return node


class Clock:
    """The time of all parts in Unix milliseconds; `ahead` milliseconds were skipped."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return now_ms() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def place(tmp_path: Path, endless: Scripted, clock: Clock) -> AsyncIterator[Place]:
    async with herding(tmp_path, echo(), endless, clock=clock) as place:
        place.write("say", SAY)
        place.write("endless", ENDLESS)
        yield place


@pytest.fixture
async def discord(clock: Clock) -> AsyncIterator[FakeDiscord]:
    async with fake_discord(clock) as fake:
        yield fake


def door_of(place: Place, discord: FakeDiscord, token: str = TOKEN, **file: Any) -> DiscordDoor:
    """The bot of a Herding, with a file of its own; it runs once it is opened."""
    path = place.settings.home / "discord.yaml"
    path.write_text(yaml.safe_dump({"prompt": "say", "threads": False, **file}))
    changes = {"discord": path, "discord_api": discord.url, "discord_bot_token": SecretStr(token)}
    door = discord_door(place.parts, place.settings.model_copy(update=changes))
    assert door is not None
    return door


@asynccontextmanager
async def bot(place: Place, discord: FakeDiscord, **file: Any) -> AsyncIterator[DiscordDoor]:
    """A connected bot."""
    door = door_of(place, discord, **file)
    async with door.open():
        await discord.until(lambda: door.status.state == "connected")
        yield door


async def crash(door: DiscordDoor) -> None:
    """End the bot of a door as a killed process ends: it tells and stores nothing more."""
    client = door.client
    assert client is not None
    for work in list(client._works):
        work.cancel()
    await asyncio.wait(client._works or [asyncio.create_task(asyncio.sleep(0))])
    await library.Client.close(client)
    client.close = client._catching_up.acquire  # nothing of the orderly end
