"""A bounded queue that is fair between principals, and in which no class of tickets blocks another."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from math import exp
from typing import Generic, Protocol, TypeVar

from herding.errors import HerdingError, OverloadedError, QueueFullError

MAX_WAITING = 10_000
MAX_PER_PRINCIPAL = 1_000

MAX_RATES = 256
"""Classes of tickets whose service rate is remembered."""

RATE_FADES = 30.0
"""Seconds after which a served ticket counts a third in the service rate."""


class Releasable(Protocol):
    """The right to use a node, granted to a ticket."""

    def release(self) -> None:
        """Give it back unused; repeated calls have no effect."""


A = TypeVar("A")
L = TypeVar("L", bound=Releasable)


@dataclass(slots=True, eq=False)
class Ticket(Generic[A, L]):
    """A request that waits for a node.

    Tickets of one `kind` can be served by the same models on the same nodes: if one of them finds none, no other does.
    `payload` is passed on to the function that chooses. `deadline` is in seconds of the clock. `lease` is set once one
    is granted; `claimed` means that the caller has taken it. `ready` is set when the wait is over.
    """

    principal: str
    kind: Hashable
    payload: A
    deadline: float | None = None
    lease: L | None = None
    error: HerdingError | None = None
    waiting: bool = False
    claimed: bool = False
    stopped: bool = False
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """End the wait without a lease."""
        self.stopped = True
        self.ready.set()


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a ticket: its `position` from 1 in its class, and the `seconds` it may wait, if known."""

    position: int
    seconds: float | None = None


class ServiceRate:
    """Tickets served per second of waiting, where older ones count less. Times are in seconds."""

    def __init__(self) -> None:
        self._served = self._seconds = self._at = 0.0

    def resume(self, now: float) -> None:
        """Start counting time again; time in which nothing waits does not count."""
        self._at = now

    def record(self, now: float) -> None:
        """Count a served ticket."""
        fade = exp((self._at - now) / RATE_FADES)
        self._served = self._served * fade + 1
        self._seconds = self._seconds * fade + now - self._at
        self._at = now

    def wait_seconds(self, position: int, now: float) -> float | None:
        """Return the expected wait at `position` (from 1); None while too few tickets were served to tell."""
        fade = exp((self._at - now) / RATE_FADES)
        if self._served * fade < 1:
            return None
        return position * (self._seconds * fade + now - self._at) / (self._served * fade)


@dataclass(slots=True)
class _Turn(Generic[A, L]):
    """A principal's place in the rotation of a line: its tickets, of which the first has its turn in `round`."""

    round: int
    order: int
    tickets: list[Ticket[A, L]] = field(default_factory=list)


class _Line(Generic[A, L]):
    """The tickets of one class: round robin between principals, first come first served within a principal.

    Each principal has one place in each round. A principal that joins goes to the end of the rotation, so that a stream
    of newcomers overtakes no one.
    """

    def __init__(self) -> None:
        self._turns: dict[str, _Turn[A, L]] = {}
        self._joined = 0
        self._last_round = 0

    def __bool__(self) -> bool:
        return bool(self._turns)

    def push(self, ticket: Ticket[A, L]) -> None:
        turn = self._turns.get(ticket.principal)
        if turn is None:
            self._joined += 1
            turn = self._turns[ticket.principal] = _Turn(max(self._last_round, self._first_round()), self._joined)
        turn.tickets.append(ticket)

    def head(self) -> Ticket[A, L]:
        """Return the next ticket, of at least one."""
        return min(self._turns.values(), key=lambda turn: (turn.round, turn.order)).tickets[0]

    def position(self, ticket: Ticket[A, L]) -> int:
        """Return the place of a ticket, from 1."""
        own = self._turns[ticket.principal]
        index = own.tickets.index(ticket)
        before = index
        for turn in self._turns.values():
            if turn is not own:
                rounds = own.round + index - turn.round + (turn.order < own.order)
                before += min(len(turn.tickets), max(0, rounds))
        return before + 1

    def remove(self, ticket: Ticket[A, L], *, served: bool) -> None:
        """Take a ticket out. If it was served, the principal's next ticket waits for the next round."""
        turn = self._turns[ticket.principal]
        turn.tickets.remove(ticket)
        if not turn.tickets:
            del self._turns[ticket.principal]
        if served:
            self._advance(turn)

    def skip(self, principal: str) -> None:
        """Use up the principal's place in this round, since it was served in another line."""
        turn = self._turns.get(principal)
        if turn is not None and turn.round == self._first_round():
            self._advance(turn)

    def _advance(self, turn: _Turn[A, L]) -> None:
        turn.round += 1
        if turn.tickets:
            self._last_round = max(self._last_round, turn.round)

    def _first_round(self) -> int:
        return min((turn.round for turn in self._turns.values()), default=0)


class FairQueue(Generic[A, L]):
    """A line for each class of tickets. Between classes, the principal that was served longest ago goes first.

    `clock` is in seconds and never goes back. A principal that was served in one line loses its place in the current
    round of the others, so that tickets of many classes bring no advantage. Operations take time in proportion to the
    number of principals that wait.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        max_waiting: int = MAX_WAITING,
        max_per_principal: int = MAX_PER_PRINCIPAL,
    ) -> None:
        self._clock, self._max_waiting, self._max_per_principal = clock, max_waiting, max_per_principal
        self._lines: dict[Hashable, _Line[A, L]] = {}
        self._rates: dict[Hashable, ServiceRate] = {}
        self._counts: Counter[str] = Counter()
        self._last_served: dict[str, int] = {}
        self._serial = 0

    def __len__(self) -> int:
        return self._counts.total()

    def has_waiting(self, kind: Hashable) -> bool:
        """Return whether a ticket of the class waits."""
        return kind in self._lines

    def push(self, ticket: Ticket[A, L]) -> None:
        """Add a ticket. Raises QueueFullError (the principal's limit) or OverloadedError (the limit of all)."""
        own = self._counts[ticket.principal]
        if own >= self._max_per_principal:
            message = f"{own} of your requests are waiting. Wait for some of their responses, then try again."
            raise QueueFullError(message, retry_after=self._retry_after(ticket.kind))
        if len(self) >= self._max_waiting:
            message = f"{len(self)} requests are waiting. Try again later, or choose a model that is less busy."
            raise OverloadedError(message, retry_after=self._retry_after(ticket.kind))
        if ticket.kind not in self._lines:
            self._open(ticket.kind)
        self._lines[ticket.kind].push(ticket)
        ticket.waiting = True
        self._counts[ticket.principal] += 1
        if not own:
            self._last_served[ticket.principal] = self._next_serial()

    def remove(self, ticket: Ticket[A, L]) -> bool:
        """Take out a ticket that was not served; return False if it does not wait."""
        if not ticket.waiting:
            return False
        self._take_out(ticket, served=False)
        return True

    def serve(self, ticket: Ticket[A, L]) -> None:
        """Take out the ticket at the head of its line, which was granted a lease."""
        self._rates[ticket.kind].record(self._clock())
        self._last_served[ticket.principal] = self._next_serial()
        self._take_out(ticket, served=True)
        for kind, line in self._lines.items():
            if kind != ticket.kind:
                line.skip(ticket.principal)

    def heads(self) -> Iterator[Ticket[A, L]]:
        """Iterate over the heads of all lines; a line whose head is taken out meanwhile yields the next one as well."""
        blocked: set[Hashable] = set()
        while heads := [line.head() for kind, line in self._lines.items() if kind not in blocked]:
            ticket = min(heads, key=lambda head: self._last_served[head.principal])
            yield ticket
            if ticket.waiting:
                blocked.add(ticket.kind)

    def place(self, ticket: Ticket[A, L]) -> Place:
        """Return the place of a waiting ticket in its line."""
        if not ticket.waiting:
            raise ValueError("The ticket does not wait.")
        position = self._lines[ticket.kind].position(ticket)
        return Place(position, self._rates[ticket.kind].wait_seconds(position, self._clock()))

    def _take_out(self, ticket: Ticket[A, L], *, served: bool) -> None:
        line = self._lines[ticket.kind]
        line.remove(ticket, served=served)
        ticket.waiting = False
        if not line:
            del self._lines[ticket.kind]
        self._counts[ticket.principal] -= 1
        if not self._counts[ticket.principal]:
            del self._counts[ticket.principal], self._last_served[ticket.principal]

    def _open(self, kind: Hashable) -> None:
        self._lines[kind] = _Line()
        rate = self._rates.pop(kind, None) or ServiceRate()
        rate.resume(self._clock())
        self._rates[kind] = rate  # at the end: the first ones were unused for longest
        if len(self._rates) > MAX_RATES:
            unused = next((other for other in self._rates if other not in self._lines), None)
            self._rates.pop(unused, None)

    def _next_serial(self) -> int:
        self._serial += 1
        return self._serial

    def _retry_after(self, kind: Hashable) -> float:
        rate = self._rates.get(kind)
        return max(1.0, (rate.wait_seconds(1, self._clock()) if rate else None) or 1.0)
