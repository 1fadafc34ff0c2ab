"""A day on Discord with lost connections, rate limits, duplicates and crashes: every message is answered once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from herding.bots import client, inbox
from herding.bots.client import INTERRUPTED, DiscordBot
from herding.bots.door import DiscordDoor
from herding.store.writer import Writer
from herding.values import HistoryFilter
from tests.bots.conftest import SAY, crash, door_of
from tests.bots.test_discord import status
from tests.support.fakediscord import BOT, CODE, GENERAL, QUIET, Body, FakeDiscord, broken, fake_discord, limited
from tests.support.fasttime import FastLoop
from tests.support.herding import ADMIN, Place, herding
from tests.support.nodes import echo

DAY = 24 * 3_600.0
BEGUN = 1_800_000_000_000
MESSAGES, COMMANDS, FAULTS = 150, 15, 100
LEASE_MS = 300_000


class Day:
    """The bot, and a Discord whose users and faults come by chance of a seed."""

    def __init__(self, place: Place, discord: FakeDiscord, seed: int) -> None:
        self.place, self.discord, self.rng = place, discord, Random(seed)
        self.asked: list[Body] = []
        self.texts: list[str] = []
        self.commands: list[str] = []
        self.crashes = 0
        self._door: DiscordDoor | None = None
        self._open: Any = None

    async def start(self) -> None:
        self._door = door_of(self.place, self.discord, channels={str(CODE): {"threads": True}})
        self._open = self._door.open()
        await self._open.__aenter__()

    async def stop(self, *, crashed: bool) -> None:
        assert self._door is not None
        if crashed:
            self.crashes += 1
            await crash(self._door)
        await self._open.__aexit__(None, None, None)

    async def run(self) -> None:
        """Let a day pass."""
        await self.start()
        await self._connected()
        works = [self._at(self.rng.uniform(60, DAY - 900), self.say) for _ in range(MESSAGES)]
        works += [self._at(self.rng.uniform(60, DAY - 900), self.command) for _ in range(COMMANDS)]
        works += [self._at(self.rng.uniform(60, DAY - 900), self.fault) for _ in range(FAULTS)]
        works += [self._at(DAY * part / 8, self.restart) for part in range(1, 8)]
        await asyncio.gather(*works)
        await asyncio.sleep(3 * LEASE_MS / 1000)
        await self._connected()
        await asyncio.sleep(3 * LEASE_MS / 1000)
        await self.stop(crashed=False)

    async def _at(self, when: float, action: Any) -> None:
        await asyncio.sleep(when)
        await action()

    async def _connected(self) -> None:
        while not self._is_up():  # noqa: ASYNC110 (the time is not real)
            await asyncio.sleep(1)

    async def say(self) -> None:
        """One user writes, or several at once."""
        for _ in range(self.rng.choice([1, 1, 1, 3])):
            number = len(self.texts)
            threads = [id for id, channel in self.discord.channels.items() if channel["type"] == 11]
            channel = self.rng.choice([GENERAL, QUIET, CODE, *threads[-2:]])
            text, in_thread = f"message {number} of the day", channel in threads
            self.texts.append(text)
            user = self.rng.choice([7, 8, 20 + number])
            self.asked.append(self.discord.say(channel, text, user=user, mention=not in_thread))

    async def command(self) -> None:
        """A user sends a command, if the bot is there: otherwise Discord tells them that it is not."""
        if [one for one in self.discord.sessions.values() if one.socket] and self._is_up():
            text = f"command {len(self.commands)}"
            self.commands.append(text)
            self.discord.command("ask", question=text, channel=GENERAL)

    def _is_up(self) -> bool:
        return self._door is not None and self._door.status.state == "connected"

    async def fault(self) -> None:
        """Something goes wrong."""
        discord, rng = self.discord, self.rng
        wait, code = rng.uniform(0.5, 60), rng.choice([1006, 1001, 4000, 1000])
        everywhere, resumable, after = rng.random() < 0.3, rng.random() < 0.5, rng.random() < 0.7
        faults: list[Callable[[], Any]] = [
            lambda: discord.drop(code),
            lambda: discord.drop(1006, resumable=False),
            lambda: discord.invalidate(resumable=resumable),
            discord.ask_to_reconnect,
            lambda: discord.fail("POST", "/messages", lambda: limited(wait, everywhere=everywhere), times=2),
            lambda: discord.fail(rng.choice(["POST", "PATCH"]), "/channels", broken, times=rng.randrange(1, 12)),
            lambda: discord.fail("POST", "/messages", None, after=after),
            self.repeat,
            self.disorder,
        ]
        done = rng.choice(faults)()
        if done is not None:
            await done

    def repeat(self) -> None:
        """Discord sends its last events again."""
        session = next(iter(self.discord.sessions.values()), None)
        for event in session.events[-5:] if session else ():
            if event["t"] in ("MESSAGE_CREATE", "INTERACTION_CREATE"):
                self.discord.dispatch(event["t"], event["d"])

    async def disorder(self) -> None:
        """Events come late and in another order."""
        self.discord.hold()
        await self.say()
        await asyncio.sleep(2)
        await self.say()
        self.discord.release(lambda events: self.rng.sample(events, len(events)))

    async def restart(self) -> None:
        """The process ends, mostly without a word while it works, and another one starts later."""
        await self.say()
        await asyncio.sleep(self.rng.uniform(0, 3))
        await self.stop(crashed=self.rng.random() < 0.7)
        await asyncio.sleep(self.rng.uniform(10, 1_800))
        await self.start()

    def answers(self, asked: Body) -> list[Body]:
        """The bot's messages to a message."""
        own = [message for messages in self.discord.messages.values() for message in messages]
        own = [message for message in own if message["author"]["id"] == str(BOT)]
        return [
            message
            for message in own
            if message.get("message_reference", {}).get("message_id") == asked["id"]
            or (message["channel_id"] == asked["id"] and not message.get("message_reference"))
        ]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_a_day_of_faults_loses_no_message_and_answers_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    monkeypatch.setattr(inbox, "LEASE_MS", LEASE_MS)
    monkeypatch.setattr(inbox, "RENEW_SECONDS", 90.0)
    monkeypatch.setattr(client, "RECOVER_SECONDS", 120.0)
    monkeypatch.setattr(inbox, "POSITION_SECONDS", 60.0)
    caplog.set_level(logging.ERROR)
    set_up, enqueue = DiscordBot.setup_hook, Writer._enqueue

    async def without_heartbeats(self: DiscordBot) -> None:
        """The library beats in a thread, in real time."""
        self._connection.heartbeat_timeout = 1e9
        await set_up(self)

    def watched(self: Writer, job: Any) -> Any:
        loop, future = asyncio.get_running_loop(), enqueue(self, job)
        return loop.watch(future) if isinstance(loop, FastLoop) else future

    monkeypatch.setattr(DiscordBot, "setup_hook", without_heartbeats)
    monkeypatch.setattr(Writer, "_enqueue", watched)
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(_a_day(tmp_path, seed))


async def _a_day(home: Path, seed: int) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()

    def clock() -> int:
        return BEGUN + round((loop.time() - begun) * 1000)

    nodes = echo(delay=0.4), echo("second", "echo")
    async with fake_discord(clock) as discord, herding(home, *nodes, clock=clock, tick=loop.time) as place:
        place.write("say", SAY)
        day = Day(place, discord, seed)
        await day.run()
        assert loop.time() - begun > DAY
        found = {text: day.answers(asked) for text, asked in zip(day.texts, day.asked, strict=True)}
        assert {text: len(answers) for text, answers in found.items() if len(answers) != 1} == {}
        wrong = {text: (one["content"], status(one)) for text, (one,) in found.items() if not _fits(text, one)}
        assert wrong == {}
        interrupted = [text for text, (one,) in found.items() if INTERRUPTED in status(one)]
        assert len(interrupted) <= 5 * day.crashes
        shown = [embed for one in discord.own(GENERAL) for embed in one["embeds"] if embed.get("title") == "Question"]
        answered = [embed["description"] for embed in shown]
        assert len(answered) == len(set(answered))
        assert discord.resumed > 10
        assert discord.identified > 10
        assert len(found) > MESSAGES
        rows = await place.store.history(HistoryFilter(), viewer=ADMIN.id, offset=0, limit=1)
        assert rows.total <= len(day.texts) + len(day.commands)


def _fits(text: str, answer: Body) -> bool:
    """Whether a message is the response to a text, in its final state."""
    complete = answer["content"] == text or answer["content"].endswith(f": {text}")
    return (complete and "Comment" in FakeDiscord.labels(None, answer)) or INTERRUPTED in status(answer)  # type: ignore[arg-type]
