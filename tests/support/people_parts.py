"""Users and tokens without a running app: store, roles, authenticator, accounts, and a clock that stands still."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from herding.access.role_file import Roles
from herding.people.accounts import Accounts
from herding.people.authenticator import Authenticator
from herding.serving.request import ActiveRequests
from herding.store import Store
from herding.values import Principal, User
from tests.support.database import database_url
from tests.support.people import principal

KEY = b"k" * 32
OPERATOR_TOKEN = "the operator's own token"
HERE, THERE = "192.0.2.1", "198.51.100.2"
"""Two addresses."""

BOSS = principal("boss", "admin")
SHIPPED = (Path(__file__).resolve().parents[2] / "config" / "roles.yaml").read_text()


class Time:
    """Both clocks; they go when told."""

    ms = 1_800_000_000_000

    def clock(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    def passes(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)


@dataclass
class House:
    """The parts."""

    store: Store
    roles: Roles
    authenticator: Authenticator
    accounts: Accounts
    time: Time
    file: Path

    async def user(self, id: str = "ada", role: str = "user", **more: Any) -> User:
        """A user, whoever may make one."""
        user = User(id, id.title(), role, **more)
        await self.store.add_user(user)
        return user

    async def token(self, user: str = "ada", **more: Any) -> str:
        """The text of a new token of a user."""
        return (await self.accounts.create_token(user, "test", BOSS, **more))[1]

    async def enters(self, token: str, address: str = HERE) -> Principal:
        """Whom a token makes."""
        return await self.authenticator.authenticate_token(token, address)

    def write_roles(self, text: str) -> None:
        """Change the roles file, and have it read."""
        self.file.write_text(text)
        later = self.file.stat().st_mtime_ns + self.roles.edition
        os.utime(self.file, ns=(later, later))
        self.roles.refresh()

    def another(self, **gate: Any) -> Authenticator:
        """The authenticator of another process on the same database, or of the next start."""
        options = {"key": KEY, "clock": self.time.clock, "monotonic": self.time.monotonic, **gate}
        return Authenticator(store=self.store, roles=self.roles, **options)


@asynccontextmanager
async def housing(home: Path, roles: str = SHIPPED, **gate: Any) -> AsyncIterator[House]:
    """A house in a directory; `gate` are options of its authenticator."""
    file = _roles_file(home, roles)
    time = Time()
    store = await Store.open(database_url(home), clock=time.clock)
    options = {"key": KEY, "admin_token": OPERATOR_TOKEN, "clock": time.clock, "monotonic": time.monotonic, **gate}
    found = Roles(file)
    authenticator = Authenticator(store=store, roles=found, **options)
    accounts = Accounts(
        store=store, roles=found, authenticator=authenticator, active=ActiveRequests(), clock=time.clock
    )
    try:
        yield House(store, found, authenticator, accounts, time, file)
    finally:
        await store.close()


def _roles_file(home: Path, text: str) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    file = home / "roles.yaml"
    file.write_text(text)
    return file


def public(token: str) -> str:
    """The public part of a token."""
    return token.split("_")[1]
