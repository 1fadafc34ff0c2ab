"""One class's line of waiting tickets, fair between principals."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from herding.routing.rounds import RoundRobin

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
