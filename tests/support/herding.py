"""A whole Herding without front doors, in a directory of its own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from textwrap import dedent
from types import MappingProxyType
from typing import Any

from herding.access.encryption import Cipher
from herding.access.role_file import Roles
from herding.herd.fleet import Fleet
from herding.herd.registry import Registry
from herding.nodes.base import Node
from herding.nodes.ssrf_guard import SsrfGuard
from herding.orchestrator import Orchestrator
from herding.people.accounts import Accounts
from herding.people.authenticator import Authenticator
from herding.prompts.library import Library
from herding.store import Store
from herding.values import Delta, Done, Event, HistoryFilter, Outcome, Principal, Request
from tests.support import edits
from tests.support.people import ROLES, principal

ADMIN = principal("admin", "admin")
GUEST = principal("guest:1", "guest")
OTHER = principal("guest:2", "guest")
KEY = b"k" * 32
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
    """The orchestrator with its parts."""

    orchestrator: Orchestrator
    library: Library
    store: Store
    fleet: Fleet
    herd: dict[str, Node]
    prompts: Path
    authenticator: Authenticator

    @property
    def accounts(self) -> Accounts:
        return self.orchestrator.accounts

    def write(self, key: str, text: str) -> None:
        """A prompt file, read at once."""
        path = self.prompts / f"{key}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        edits.write(path, dedent(text))
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
    gate: Mapping[str, Any] = MappingProxyType({}),
    rng: Random | None = None,
    tick: Callable[[], float] = time.monotonic,
    **options: Any,
) -> AsyncIterator[Place]:
    """A Herding with `nodes` and the prompt `say`; `gate` are options of its authenticator, `rng` chooses among equals.

    `tick` is the clock of the fleet, in seconds.
    """
    prompts = home / "prompts"
    library = Library(prompts)
    clock: Callable[[], int] | None = options.get("clock")
    timed = {"clock": clock} if clock else {}
    store = await Store.open(f"sqlite:///{home / 'herding.sqlite'}", **timed)
    herd = {node.name: node for node in nodes}
    authenticator = Authenticator(store=store, roles=roles, key=KEY, **{"admin_token": ADMIN_TOKEN, **timed, **gate})
    fleet = Fleet(herd, clock=tick, rng=rng or First())
    registry = Registry(fleet=fleet, store=store, seal=Cipher(KEY), guard=SsrfGuard(loopback=True), **timed)
    orchestrator = Orchestrator(
        library=library,
        fleet=fleet,
        store=store,
        roles=roles,
        authenticator=authenticator,
        registry=registry,
        **options,
    )
    place = Place(orchestrator, library, store, fleet, herd, prompts, authenticator)
    place.write("say", SAY)
    try:
        yield place
    finally:
        for node in {*nodes, *fleet.values()}:
            await node.close()
        await store.close()


def text_of(events: list[Event]) -> str:
    """The text that streamed."""
    return "".join(event.text for event in events if isinstance(event, Delta))


def outcome_of(events: list[Event]) -> Outcome:
    """The outcome at the end of the stream."""
    last = events[-1]
    assert isinstance(last, Done)
    return last.outcome
