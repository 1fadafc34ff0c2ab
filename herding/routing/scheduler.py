"""Scheduling of requests that wait for a node: a free one at once, else a visible place in a fair queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Generic

from herding.errors import HerdingError, QueueTimeoutError
from herding.routing.fair_queue import MAX_PER_PRINCIPAL, MAX_WAITING, A, FairQueue, L, Place, Ticket

UPDATE_SECONDS = 0.5
"""Seconds between two updates of a ticket's place."""

MAX_UPDATES = 200
"""Updates per second of all tickets together: the more tickets wait, the less often each is updated."""


class Signal:
    """Tells its subscribers, in the same step, that waiting requests may be able to go on."""

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

    `choose` picks a model and a node for a ticket and acquires them, or returns None if none is free; it does not wait
    and calls nothing here. A HerdingError that it raises ends the ticket's wait with that error. `clock` is in seconds
    and never goes back; `update_seconds` is the least time between two places yielded to one ticket.

    Code that frees a slot calls `schedule` in the same step, before anything else runs. Otherwise a new request may
    take the slot of a waiting one. Changes by time alone (such as the end of a rest) are noticed within
    `update_seconds`.
    """

    def __init__(
        self,
        choose: Callable[[Ticket[A, L]], L | None],
        *,
        clock: Callable[[], float],
        update_seconds: float = UPDATE_SECONDS,
        max_waiting: int = MAX_WAITING,
        max_per_principal: int = MAX_PER_PRINCIPAL,
    ) -> None:
        self._choose, self._clock, self._update_seconds = choose, clock, update_seconds
        self._queue: FairQueue[A, L] = FairQueue(clock, max_waiting=max_waiting, max_per_principal=max_per_principal)
        self._scheduled_at = clock()
        self._scheduling = False

    def __len__(self) -> int:
        return len(self._queue)

    def try_acquire(self, ticket: Ticket[A, L]) -> L | None:
        """Return a lease if one is free and no ticket of the same class waits for it. Raises what `choose` raises."""
        if self._queue.has_waiting(ticket.kind):
            return None
        ticket.lease = self._choose(ticket)
        ticket.claimed = ticket.lease is not None
        return ticket.lease

    async def wait(self, ticket: Ticket[A, L]) -> AsyncGenerator[Place, None]:
        """Yield the ticket's place whenever it changes, until the ticket has a lease or is stopped.

        The lease then belongs to the caller. If the caller is cancelled or closes this before, the ticket is withdrawn.
        Raises QueueFullError, OverloadedError, QueueTimeoutError at the ticket's deadline, and what `choose` raises.
        """
        if self.try_acquire(ticket) is not None:
            return
        self._queue.push(ticket)
        last: tuple[int, int | None] | None = None
        try:
            while ticket.waiting and not ticket.stopped:
                place = self._place(ticket)
                rounded = place.position, None if place.seconds is None else round(place.seconds)
                if rounded != last:
                    last = rounded
                    yield place
                await self._sleep(ticket)
            if ticket.stopped:
                return
            if ticket.error:
                raise ticket.error
            ticket.claimed = True
        finally:
            self.withdraw(ticket)

    def withdraw(self, ticket: Ticket[A, L]) -> None:
        """Take out a waiting ticket; a lease that was granted but not claimed goes to the next one."""
        if self._queue.remove(ticket):
            ticket.ready.set()
        elif ticket.lease is not None and not ticket.claimed:
            lease, ticket.lease = ticket.lease, None
            lease.release()
            self.schedule()

    def schedule(self) -> None:
        """Grant as many leases as possible. A class whose first ticket finds no node is passed over."""
        if not len(self._queue) or self._scheduling:
            return
        self._scheduled_at, self._scheduling = self._clock(), True
        try:
            for ticket in self._queue.heads():
                self._offer(ticket)
        finally:
            self._scheduling = False

    def _offer(self, ticket: Ticket[A, L]) -> None:
        try:
            ticket.lease = self._choose(ticket)
        except HerdingError as error:
            ticket.error = error
            self.withdraw(ticket)
            return
        if ticket.lease is not None:
            self._queue.serve(ticket)
            ticket.ready.set()

    def _place(self, ticket: Ticket[A, L]) -> Place:
        """Return the ticket's place. Raises QueueTimeoutError after its deadline."""
        place = self._queue.place(ticket)
        if ticket.deadline is None or self._clock() < ticket.deadline:
            return place
        before = place.position - 1
        noun = "request was" if before == 1 else "requests were"
        ahead = f"{before:,} {noun} ahead of this one" if before else "this request was next"
        message = f"No node became free in time; {ahead}. Try again later, or choose another model."
        raise QueueTimeoutError(message, retry_after=place.seconds)

    async def _sleep(self, ticket: Ticket[A, L]) -> None:
        """Wait until the ticket's wait is over or its place is to be updated."""
        seconds = max(self._update_seconds, len(self._queue) / MAX_UPDATES)
        if ticket.deadline is not None:
            seconds = min(seconds, max(0.0, ticket.deadline - self._clock()))
        try:
            async with asyncio.timeout(seconds):
                await ticket.ready.wait()
        except TimeoutError:
            if self._clock() - self._scheduled_at >= self._update_seconds:
                self.schedule()
