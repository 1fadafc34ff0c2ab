"""The bot in a process of its own, which calls a server by its API as the user of Discord."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from pydantic import SecretStr

from herding.bots import client, inbox
from herding.bots.program import serve_discord
from herding.errors import ConfigError
from herding.settings import Settings
from herding.values import Limit, User
from tests.api.conftest import live
from tests.bots.test_discord import complete, status, told
from tests.support.fakediscord import CODE, GENERAL, TOKEN, FakeDiscord
from tests.support.herding import ADMIN, ADMIN_TOKEN, Place


def write_file(home: Path, prompt: str, *, threads: bool = False) -> None:
    """The file of the bot."""
    home.mkdir(exist_ok=True)
    (home / "discord.yaml").write_text(yaml.safe_dump({"prompt": prompt, "threads": threads}))


@asynccontextmanager
async def beside(
    home: Path, discord: FakeDiscord, server: str, *, token: str = TOKEN, prompt: str = "say", threads: bool = False
) -> AsyncIterator[None]:
    """`herding discord` beside a server."""
    write_file(home, prompt, threads=threads)
    settings = Settings(
        home=home,
        discord=home / "discord.yaml",
        discord_api=discord.url,
        DISCORD_BOT_TOKEN=SecretStr(token),
        server=server,
        token=SecretStr(ADMIN_TOKEN),
    )
    stop = asyncio.Event()
    task = asyncio.create_task(serve_discord(settings, stop=stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def test_the_bot_beside_a_server_acts_as_its_users(place: Place, discord: FakeDiscord, tmp_path: Path) -> None:
    await place.accounts.add_user(User("discord:8", "Bob", "guest", limits=(Limit("request", 1, 1),)), ADMIN)
    async with live(place) as server, beside(tmp_path / "bot", discord, server):
        await discord.until(lambda: discord.sessions)
        discord.say(GENERAL, "hello")
        (reply,) = await complete(discord)
        assert reply["content"] == "hello"
        row = await place.row()
        assert (row.principal, row.token) == ("discord:7", None)
        assert await told(discord, discord.click(reply, "4 ★")) == "Rated 4 of 5."
        assert await told(discord, discord.click(reply, "2 ★", user=8)) == "Rated 2 of 5."
        ratings = (await place.orchestrator.history.entry(row.request_id, ADMIN)).ratings
        assert {(rating.principal, rating.stars) for rating in ratings} == {("discord:7", 4), ("discord:8", 2)}
        discord.say(CODE, "one", user=8)
        await complete(discord, CODE)
        discord.say(CODE, "two", user=8)
        replies = await complete(discord, CODE, 2)
        assert "Try again <t:" in status(replies[1])
        assert "no texts" in await told(discord, discord.command("privacy", store=False))
        discord.command("ask", question="hm", prompt="ghost")
        replies = await complete(discord, count=2)
        assert "There is no prompt 'ghost'." in status(replies[1])


async def test_a_thread_is_one_chat_of_the_history(place: Place, discord: FakeDiscord, tmp_path: Path) -> None:
    async with live(place) as server, beside(tmp_path / "bot", discord, server, threads=True):
        await discord.until(lambda: discord.sessions)
        thread = int(discord.say(GENERAL, "first question")["id"])
        await complete(discord, thread)
        discord.say(thread, "second question", mention=False)
        await complete(discord, thread, 2)
        rows = await place.rows()
        assert [row.session_id for row in rows] == [f"discord:{thread}"] * 2
        assert rows[0].input.count("question") == 3


async def test_a_running_request_is_stopped_by_its_user(place: Place, discord: FakeDiscord, tmp_path: Path) -> None:
    async with live(place) as server, beside(tmp_path / "bot", discord, server, prompt="endless"):
        await discord.until(lambda: discord.sessions)
        discord.say(GENERAL, "go on")
        (shown,) = await discord.until(lambda: [m for m in discord.own(GENERAL) if m["content"]])
        assert "another user" in await told(discord, discord.click(shown, "Stop", user=8))
        assert await told(discord, discord.click(shown, "Stop")) == "Stopped."
        (shown,) = await complete(discord)
        assert status(shown) == "Stopped."


async def test_messages_wait_for_a_server_that_is_away(
    place: Place, discord: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "RECOVER_SECONDS", 0.1)
    monkeypatch.setattr(inbox, "LEASE_MS", 300)
    async with live(place) as server:
        place.orchestrator.stop_accepting()
        async with beside(tmp_path / "bot", discord, server):
            await discord.until(lambda: discord.sessions)
            discord.say(GENERAL, "hello")
            await discord.until(lambda: [call for call in discord.calls if "/messages/" in call[1]])
            assert discord.own(GENERAL) == []
            place.orchestrator._active.stopping = False
            (reply,) = await complete(discord)
            assert reply["content"] == "hello"


async def test_a_token_that_discord_refuses_ends_the_process(discord: FakeDiscord, tmp_path: Path) -> None:
    write_file(tmp_path / "bot", "say")
    given = {"home": tmp_path / "bot", "discord": tmp_path / "bot" / "discord.yaml", "discord_api": discord.url}
    with pytest.raises(ConfigError, match="Discord refused the token"):
        await serve_discord(Settings(**given, DISCORD_BOT_TOKEN=SecretStr("wrong")))
    with pytest.raises(ConfigError, match="DISCORD_BOT_TOKEN"):
        await serve_discord(Settings(**given))


async def test_only_an_admin_acts_for_users_of_discord(place: Place) -> None:
    await place.accounts.add_user(User("ada", "Ada", "user"), ADMIN)
    _, own = await place.accounts.create_token("ada", "test", ADMIN)
    async with live(place) as server, httpx.AsyncClient(base_url=server) as http:
        for token, user, expected in (
            (own, "7", 403),
            (None, "7", 403),
            (ADMIN_TOKEN, "seven", 422),
            (ADMIN_TOKEN, "7" * 30, 422),
            (ADMIN_TOKEN, "7", 200),
        ):
            headers = {"x-herding-discord-user": user} | ({"authorization": f"Bearer {token}"} if token else {})
            response = await http.get("/api/v1/me", headers=headers)
            assert response.status_code == expected, (token, user, response.text)
        assert response.json()["role"] == "guest"
