"""A whole Herding without front doors, in a directory of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from textwrap import dedent
from typing import Any

from pydantic import SecretStr

from herding.access.keys import signing_key
from herding.access.role_file import Roles
from herding.herd.fleet import Fleet
from herding.main import Parts, assemble
from herding.nodes.base import Node
from herding.orchestrator import WAIT_SECONDS, Orchestrator
from herding.people.accounts import Accounts
from herding.people.authenticator import Authenticator
from herding.prompts.library import Library
from herding.settings import Settings, is_loopback
from herding.store import Store, now_ms
from herding.values import Delta, Done, Event, HistoryFilter, Outcome, Principal, Request
from tests.support import edits
from tests.support.database import database_url
from tests.support.people import ROLES, principal
from tests.support.until import LONG

ADMIN = principal("admin", "admin")
GUEST = principal("guest:1", "guest")
OTHER = principal("guest:2", "guest")
SECRET_KEY = "the secret key of all tests, 32 or more"
KEY = signing_key(Path(), SECRET_KEY)
ADMIN_TOKEN = "admin-token"
NOBODY = Principal("nobody", "none", frozenset())

SAY = """
    name: Say
    target_models: [echo]
    variables:
      text: {type: text, default: one two three}
    messages:
      - {role: user, content: "{{text}}"}
    """


@dataclass
class Place:
    """The services of a Herding, and the settings that they were made with."""

    parts: Parts
    settings: Settings

    @property
    def orchestrator(self) -> Orchestrator:
        return self.parts.orchestrator

    @property
    def library(self) -> Library:
        return self.parts.library

    @property
    def store(self) -> Store:
        return self.parts.store

    @property
    def herd(self) -> Fleet:
        return self.parts.fleet

    @property
    def authenticator(self) -> Authenticator:
        return self.parts.authenticator

    @property
    def accounts(self) -> Accounts:
        return self.orchestrator.accounts

    @property
    def prompts(self) -> Path:
        return self.settings.prompts

    def write(self, key: str, text: str) -> None:
        """A prompt file, read at once."""
        write_prompt(self.prompts, key, text)
        self.library.refresh()

    async def events(self, request: Request, who: Principal = ADMIN) -> list[Event]:
        """All events of a request."""
        return [event async for event in self.orchestrator.pipeline.stream(request, who)]

    async def rows(self, who: Principal = ADMIN) -> list[Outcome]:
        """All rows of the history, newest first."""
        page = await self.orchestrator.history.page(HistoryFilter(), who, limit=200)
        return [entry.outcome for entry in page.entries]

    async def row(self) -> Outcome:
        """The only row of the history."""
        (row,) = await self.rows()
        return row

    async def ended_row(self) -> Outcome:
        """The only row of the history, once its request does not run any more."""
        async with asyncio.timeout(LONG):
            while [row.status for row in await self.rows()] in ([], ["running"]):  # noqa: ASYNC110 (a row has no events)
                await asyncio.sleep(0.01)
        return await self.row()


class First(Random):
    """Chance that always falls on the first of equals, for tests that are not about chance."""

    def random(self) -> float:
        return 0.0

    def sample(self, population: Sequence[Any], k: int, *, counts: object = None) -> list[Any]:
        return list(population[:k])


class Clock:
    """Time that stands still, so that nothing ends while a slow machine is busy; `ahead` seconds were skipped."""

    def __init__(self) -> None:
        self.ahead, self._begun = 0.0, time.monotonic()

    def __call__(self) -> float:
        return self._begun + self.ahead


@asynccontextmanager
async def herding(
    home: Path,
    *nodes: Node,
    roles: Roles = ROLES,
    admin_token: str | None = ADMIN_TOKEN,
    host: str = "127.0.0.1",
    clock: Callable[[], int] = now_ms,
    tick: Callable[[], float] = time.monotonic,
    rng: Random | None = None,
    wait_seconds: float = WAIT_SECONDS,
) -> AsyncIterator[Place]:
    """A Herding with `nodes` and the prompt `say`, wired as the product is; its background work does not run.

    `clock` is in Unix milliseconds, `tick` in seconds; `rng` chooses among equals.
    """
    own = {"home": home, "prompts": home / "prompts", "database": database_url(home)}
    settings = _settings(host, admin_token).model_copy(update=own)
    write_prompt(settings.prompts, "say", SAY)
    options = {"roles": roles, "clock": clock, "monotonic": tick, "rng": rng or First(), "wait_seconds": wait_seconds}
    async with assemble(settings, nodes={node.name: node for node in nodes}, **options) as parts:
        yield Place(parts, settings)


@cache
def _settings(host: str, admin_token: str | None) -> Settings:
    """Settings that are the same in many tests, since reading the environment takes long."""
    return Settings(
        host=host,
        trusted_hosts=["herding.test", "127.0.0.1"] if is_loopback(host) else [],
        secret_key=SecretStr(SECRET_KEY),
        admin_token=SecretStr(admin_token) if admin_token else None,
    )


def write_prompt(directory: Path, key: str, text: str) -> None:
    """Write a prompt file."""
    path = directory / f"{key}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    edits.write(path, dedent(text))


def text_of(events: list[Event]) -> str:
    """The text that streamed."""
    return "".join(event.text for event in events if isinstance(event, Delta))


def outcome_of(events: list[Event]) -> Outcome:
    """The outcome at the end of the stream."""
    last = events[-1]
    assert isinstance(last, Done)
    return last.outcome
