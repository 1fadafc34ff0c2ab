"""Where requests wait for a node: a free one at once, else a place in the queue that can be seen moving."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Generic

from herding.errors import HerdingError, QueueTimeoutError
from herding.routing.fair_queue import IN_ALL, PER_PRINCIPAL, A, FairQueue, L, Place, Ticket

EVERY = 0.5
"""Seconds between two looks of a ticket at its place."""

LOOKS_A_SECOND = 2_000
"""Of all tickets together, at most: where very many wait, each looks less often."""


class Signal:
    """Tells its subscribers, in the same step, that something changed for which requests may wait."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[], None]] = []

    def subscribe(self, subscriber: Callable[[], None]) -> None:
        """Call `subscriber` at every change from now on."""
        self._subscribers.append(subscriber)

    def notify(self) -> None:
        """Tell all subscribers."""
        for subscriber in self._subscribers:
            subscriber()


class Scheduler(Generic[A, L]):
    """Grants leases to tickets in the order of a fair queue.

    `choose` picks a model and a node for a ticket and takes them, or returns None where none is free; it does not wait
    and calls nothing here. A HerdingError that it raises ends the ticket's wait with that error. `clock` is in seconds
    and never goes back; `every` is how many seconds lie at least between two places told to one ticket.

    Whoever frees a slot calls `pump` in the same step, before anything else runs: else a newcomer may take what
    somebody waits for. What comes by time alone (a rest that ends) is noticed within `every` seconds without it.
    """

    def __init__(
        self,
        choose: Callable[[Ticket[A, L]], L | None],
        *,
        clock: Callable[[], float],
        every: float = EVERY,
        in_all: int = IN_ALL,
        per_principal: int = PER_PRINCIPAL,
    ) -> None:
        self._choose, self._clock, self._every = choose, clock, every
        self._queue: FairQueue[A, L] = FairQueue(clock, in_all=in_all, per_principal=per_principal)
        self._pumped = clock()
        self._pumping = False

    def __len__(self) -> int:
        return len(self._queue)

    def try_acquire(self, ticket: Ticket[A, L]) -> L | None:
        """A lease where one is free and nobody of the same class waits for it. Raises what `choose` raises."""
        if self._queue.waits(ticket.kind):
            return None
        ticket.lease = self._choose(ticket)
        ticket.settled = ticket.lease is not None
        return ticket.lease

    async def wait(self, ticket: Ticket[A, L]) -> AsyncGenerator[Place, None]:
        """Tell the ticket's place now and whenever it changed; ends once it has a lease, or has left.

        The lease is the caller's then. Where the caller is cancelled or closes this before, the ticket leaves. Raises
        QueueFullError, OverloadedError, QueueTimeoutError at the ticket's deadline, and what `choose` raises.
        """
        if self.try_acquire(ticket) is not None:
            return
        self._queue.push(ticket)
        told: tuple[int, int | None] | None = None
        try:
            while ticket.number is not None and not ticket.stopped:
                place = self._in_time(ticket)
                if (news := _rounded(place)) != told:
                    told = news
                    yield place
                await self._sleep(ticket)
            if ticket.stopped:
                return
            if ticket.error:
                raise ticket.error
            ticket.settled = True
        finally:
            self.withdraw(ticket)

    def withdraw(self, ticket: Ticket[A, L]) -> None:
        """Take a ticket out, whose wait ends without a lease; a lease that nobody has taken yet goes to the next.

        A ticket whose wait is over, or that never waited, stays as it is.
        """
        if self._queue.remove(ticket):
            ticket.woken.set()
        elif ticket.lease is not None and not ticket.settled:
            lease, ticket.lease = ticket.lease, None
            lease.release()
            self.schedule()

    def schedule(self) -> None:
        """Grant what can be granted. A class whose first ticket finds nothing is passed over."""
        if not len(self._queue) or self._pumping:
            return
        self._pumped, self._pumping = self._clock(), True
        try:
            for ticket in self._queue.heads():
                self._offer(ticket)
        finally:
            self._pumping = False

    def _offer(self, ticket: Ticket[A, L]) -> None:
        try:
            ticket.lease = self._choose(ticket)
        except HerdingError as error:
            ticket.error = error
            self._queue.remove(ticket)
            ticket.woken.set()
            return
        if ticket.lease is not None:
            self._queue.serve(ticket)
            ticket.woken.set()

    def _in_time(self, ticket: Ticket[A, L]) -> Place:
        place = self._queue.place(ticket)
        if ticket.deadline is None or self._clock() < ticket.deadline:
            return place
        message = f"No node became free in time; {_ahead(place.position - 1)}."
        raise QueueTimeoutError(f"{message} Try again later, or choose another model.", retry_after=place.seconds)

    async def _sleep(self, ticket: Ticket[A, L]) -> None:
        """Until the ticket is granted or it is time to look at its place again: later where very many wait."""
        seconds = max(self._every, len(self._queue) / LOOKS_A_SECOND)
        if ticket.deadline is not None:
            seconds = min(seconds, max(0.0, ticket.deadline - self._clock()))
        try:
            async with asyncio.timeout(seconds):
                await ticket.woken.wait()
        except TimeoutError:
            if self._clock() - self._pumped >= self._every:
                self.schedule()


def _ahead(requests: int) -> str:
    if not requests:
        return "this request was the next to go"
    return f"{requests:,} {'requests were' if requests > 1 else 'request was'} to go before this one"


def _rounded(place: Place) -> tuple[int, int | None]:
    """What of a place is worth telling: the position, and whole seconds."""
    return place.position, None if place.seconds is None else round(place.seconds)
