"""Who goes next: a bounded queue that is fair between principals, and lets no class of tickets hold up another."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from math import exp
from typing import Generic, Protocol, TypeVar

from herding.errors import HerdingError, OverloadedError, QueueFullError


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


FADES = 30.0
"""Seconds after which what was granted counts a third."""


class QueueEta:
    """Requests granted a second of waiting, where older ones count less. Times are in seconds."""

    def __init__(self) -> None:
        self._granted = self._seconds = self._at = 0.0

    def begin(self, now: float) -> None:
        """Somebody waits again; the time in which nobody did does not count."""
        self._at = now

    def granted(self, now: float) -> None:
        """One of those who wait was granted."""
        passed = now - self._at
        fade = exp(-passed / FADES)
        self._granted = self._granted * fade + 1
        self._seconds = self._seconds * fade + passed
        self._at = now

    def seconds(self, position: int, now: float) -> float | None:
        """How long the request at `position` (from 1) will wait; None while too few were granted to tell."""
        fade = exp(-(now - self._at) / FADES)
        if self._granted * fade < 1:
            return None
        return position * (self._seconds * fade + now - self._at) / (self._granted * fade)


class RoundRobin:
    """Sorted places (round, lane), of which at most `span` consecutive rounds are in use at a time.

    The counts of the rounds are kept in a binary indexed tree over a ring (P. Fenwick, "A New Data Structure for
    Cumulative Frequency Tables", 1994), so that a rank takes O(log span + log lanes).
    """

    def __init__(self, span: int) -> None:
        self._size = 1 << max(1, (span - 1).bit_length())
        self._tree = [0] * (self._size + 1)
        self._lanes: dict[int, list[int]] = {}
        self._count = 0
        self.first = 0

    def __len__(self) -> int:
        return self._count

    def add(self, round_: int, lane: int) -> None:
        """Add a place; `round_` is from `first` to less than `first + span`. The only place is in the first round."""
        self.first = self.first if self._count else round_
        insort(self._lanes.setdefault(round_, []), lane)
        self._change(round_, 1)

    def remove(self, round_: int, lane: int) -> None:
        """Remove a place that is there. `first` moves on with the first round that has any."""
        lanes = self._lanes[round_]
        del lanes[bisect_left(lanes, lane)]
        self._change(round_, -1)
        if not lanes:
            del self._lanes[round_]
            while self._count and self.first not in self._lanes:
                self.first += 1

    def head(self) -> tuple[int, int]:
        """The first place, of at least one."""
        return self.first, self._lanes[self.first][0]

    def rank(self, round_: int, lane: int) -> int:
        """How many places come before this one."""
        first, here = self.first % self._size, round_ % self._size
        before = self._sum(here) - self._sum(first) + (self._count if here < first else 0)
        return before + bisect_left(self._lanes[round_], lane)

    def _change(self, round_: int, by: int) -> None:
        self._count += by
        at = round_ % self._size + 1
        while at <= self._size:
            self._tree[at] += by
            at += at & -at

    def _sum(self, end: int) -> int:
        """Places in the slots of the ring before `end`."""
        total = 0
        while end:
            total += self._tree[end]
            end -= end & -end
        return total


T = TypeVar("T")


@dataclass(slots=True)
class _Lane(Generic[T]):
    """One principal's tickets in the order they came, by their numbers; the first has its place in round `base`."""

    principal: str
    order: int
    base: int
    numbers: list[int] = field(default_factory=list)
    tickets: dict[int, T] = field(default_factory=dict)


class Line(Generic[T]):
    """Tickets of one class: round robin between principals, the older first within a principal.

    Each principal has one place in each round. Who comes joins the rotation at its end, so that nobody is overtaken by
    a stream of newcomers. A principal's places belong to whichever of its tickets are the oldest: one that leaves gives
    up the last place, and leaves no gap. All operations are O(log n), besides moving a few integers in one list.
    """

    def __init__(self, *, per_principal: int) -> None:
        # A lane begins in the first round or the next, and has one place a ticket.
        self._rounds = RoundRobin(per_principal + 2)
        self._by_order: dict[int, _Lane[T]] = {}
        self._by_principal: dict[str, _Lane[T]] = {}
        self._joined = 0
        self._tail = 0

    def __len__(self) -> int:
        return len(self._rounds)

    def push(self, number: int, principal: str, ticket: T) -> None:
        """Add a ticket; `number` grows from ticket to ticket."""
        lane = self._by_principal.get(principal)
        if lane is None:
            self._joined += 1
            lane = _Lane(principal, self._joined, max(self._tail, self._rounds.first))
            self._by_order[lane.order] = self._by_principal[principal] = lane
        self._rounds.add(lane.base + len(lane.numbers), lane.order)
        lane.numbers.append(number)
        lane.tickets[number] = ticket

    def head(self) -> T:
        """The ticket that goes next, of at least one."""
        lane = self._by_order[self._rounds.head()[1]]
        return lane.tickets[lane.numbers[0]]

    def take_head(self) -> None:
        """The head was served: its principal's next ticket waits for the next round."""
        round_, order = self._rounds.head()
        lane = self._by_order[order]
        del lane.tickets[lane.numbers.pop(0)]
        lane.base = round_ + 1
        if lane.numbers:
            self._tail = max(self._tail, lane.base)
        else:
            self._drop(lane)
        self._rounds.remove(round_, order)

    def remove(self, number: int, principal: str) -> None:
        """A ticket leaves without being served; those behind it move up."""
        lane = self._by_principal[principal]
        self._rounds.remove(lane.base + len(lane.numbers) - 1, lane.order)
        del lane.numbers[bisect_left(lane.numbers, number)]
        del lane.tickets[number]
        if not lane.numbers:
            self._drop(lane)

    def rank(self, number: int, principal: str) -> int:
        """How many tickets of the line go before this one, as things stand."""
        lane = self._by_principal[principal]
        return self._rounds.rank(lane.base + bisect_left(lane.numbers, number), lane.order)

    def served_elsewhere(self, principal: str) -> None:
        """The principal was served in another line: its place in this round, where it has one, is used up."""
        lane = self._by_principal.get(principal)
        if lane is None or lane.base > self._rounds.first:
            return
        self._rounds.add(lane.base + len(lane.numbers), lane.order)
        self._rounds.remove(lane.base, lane.order)
        lane.base += 1
        self._tail = max(self._tail, lane.base)

    def _drop(self, lane: _Lane[T]) -> None:
        del self._by_order[lane.order]
        del self._by_principal[lane.principal]


IN_ALL = 10_000
PER_PRINCIPAL = 1_000
PACES = 256


class FairQueue(Generic[A, L]):
    """A line for each class of tickets. Between classes, the principal that was served longest ago goes first.

    `clock` is in seconds and never goes back. A principal that was served in one line loses its place in the present
    round of the others: tickets of many classes win nothing.
    """

    def __init__(self, clock: Callable[[], float], *, in_all: int = IN_ALL, per_principal: int = PER_PRINCIPAL) -> None:
        self._clock, self._in_all, self._per_principal = clock, in_all, per_principal
        self._lines: dict[Hashable, Line[Ticket[A, L]]] = {}
        self._paces: dict[Hashable, QueueEta] = {}
        self._waiting: dict[str, dict[Hashable, int]] = {}
        self._counts: dict[str, int] = {}
        self._turns: dict[str, int] = {}
        self._count = self._numbers = self._turn = 0

    def __len__(self) -> int:
        return self._count

    def waits(self, kind: Hashable) -> bool:
        """Whether a ticket of the class waits."""
        return kind in self._lines

    def push(self, ticket: Ticket[A, L]) -> None:
        """Add a ticket. Raises QueueFullError (one principal waits too often) or OverloadedError (all together do)."""
        own = self._counts.get(ticket.principal, 0)
        if own >= self._per_principal:
            message = f"{own} of your requests wait already. Wait for some of their answers, then try again."
            raise QueueFullError(message, retry_after=self._next_in(ticket.kind))
        if self._count >= self._in_all:
            message = f"{self._count} requests wait already. Try again later, or choose a model that is less busy."
            raise OverloadedError(message, retry_after=self._next_in(ticket.kind))
        self._numbers += 1
        ticket.number = self._numbers
        line = self._lines.get(ticket.kind) or self._open(ticket.kind)
        line.push(ticket.number, ticket.principal, ticket)
        self._count += 1
        self._counts[ticket.principal] = own + 1
        kinds = self._waiting.setdefault(ticket.principal, {})
        kinds[ticket.kind] = kinds.get(ticket.kind, 0) + 1
        if not own:
            self._turns[ticket.principal] = self._next_turn()

    def remove(self, ticket: Ticket[A, L]) -> bool:
        """Take a ticket out that is not served; False where it does not wait (any more)."""
        if ticket.number is None:
            return False
        line = self._lines[ticket.kind]
        line.remove(ticket.number, ticket.principal)
        self._forget(ticket, line)
        return True

    def serve(self, ticket: Ticket[A, L]) -> None:
        """Take out the ticket at the head of its line, as it was granted what it waits for."""
        line = self._lines[ticket.kind]
        line.take_head()
        self._paces[ticket.kind].granted(self._clock())
        self._turns[ticket.principal] = self._next_turn()
        self._forget(ticket, line)
        for kind in self._waiting.get(ticket.principal, ()):
            if kind != ticket.kind:
                self._lines[kind].served_elsewhere(ticket.principal)

    def heads(self) -> Iterator[Ticket[A, L]]:
        """The head of each line; of a line whose head was taken out meanwhile, the next one as well.

        O(lines + heads taken out x log n).
        """
        heap = [(self._turn_of(line), place, line) for place, line in enumerate(self._lines.values())]
        heapify(heap)
        while heap:
            turn, place, line = heappop(heap)
            if (newer := self._turn_of(line)) > turn:
                heappush(heap, (newer, place, line))
                continue
            ticket = line.head()
            yield ticket
            if ticket.number is None and len(line):
                heappush(heap, (self._turn_of(line), place, line))

    def place(self, ticket: Ticket[A, L]) -> Place:
        """Where a waiting ticket stands in its line."""
        if ticket.number is None:
            raise ValueError("The ticket does not wait.")
        position = self._lines[ticket.kind].rank(ticket.number, ticket.principal) + 1
        return Place(position, self._paces[ticket.kind].seconds(position, self._clock()))

    def _turn_of(self, line: Line[Ticket[A, L]]) -> int:
        return self._turns[line.head().principal]

    def _next_turn(self) -> int:
        self._turn += 1
        return self._turn

    def _next_in(self, kind: Hashable) -> float:
        """Seconds until one of the class is likely to be served."""
        pace = self._paces.get(kind)
        return max(1.0, (pace.seconds(1, self._clock()) if pace else None) or 1.0)

    def _open(self, kind: Hashable) -> Line[Ticket[A, L]]:
        line: Line[Ticket[A, L]] = Line(per_principal=self._per_principal)
        self._lines[kind] = line
        pace = self._paces.pop(kind, None) or QueueEta()
        pace.begin(self._clock())
        self._paces[kind] = pace
        if len(self._paces) > PACES:
            unused = [one for one in self._paces if one not in self._lines]
            for one in unused[:1]:
                del self._paces[one]
        return line

    def _forget(self, ticket: Ticket[A, L], line: Line[Ticket[A, L]]) -> None:
        ticket.number = None
        principal, kind = ticket.principal, ticket.kind
        self._count -= 1
        self._counts[principal] -= 1
        kinds = self._waiting[principal]
        kinds[kind] -= 1
        if not kinds[kind]:
            del kinds[kind]
        if not self._counts[principal]:
            del self._counts[principal], self._waiting[principal], self._turns[principal]
        if not len(line):
            del self._lines[kind]
