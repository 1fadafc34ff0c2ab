"""Who goes next: a bounded queue that is fair between principals, and lets no class of tickets hold up another."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from heapq import heapify, heappop, heappush
from typing import Generic

from herding.errors import OverloadedError, QueueFullError
from herding.routing.fair_lines import Line
from herding.routing.queue_eta import QueueEta
from herding.routing.ticket import A, L, Place, Ticket

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
