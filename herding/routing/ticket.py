"""What a request holds while it waits for its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from herding.errors import HerdingError


class Lease(Protocol):
    """The right to use a node, taken for a ticket."""

    def release(self) -> None:
        """Give it back unused; again does no harm."""


A = TypeVar("A")
L = TypeVar("L", bound=Lease)


@dataclass(slots=True, eq=False)
class Ticket(Generic[A, L]):
    """One request's wish for a node.

    `kind` is its class: all tickets of one can be taken by the same models on the same nodes, so that where one finds
    none, no other does. `about` is what is asked for, for whoever chooses. `deadline` is in seconds of the clock.
    `lease` is there once one was granted; `number` only while the ticket waits.
    """

    principal: str
    kind: Hashable
    about: A
    deadline: float | None = None
    lease: L | None = None
    error: HerdingError | None = None
    number: int | None = None
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    settled: bool = False
    stopped: bool = False

    def stop(self) -> None:
        """End the wait without a lease."""
        self.stopped = True
        self.woken.set()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a ticket waits: `position` from 1 among those of its class, and the `seconds` it may take, if known."""

    position: int
    seconds: float | None = None
