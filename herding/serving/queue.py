"""The queue of requests that wait for a place on a node."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing

from herding.errors import QueueTimeoutError
from herding.herd.fleet import Fleet
from herding.herd.model_switcher import Demand
from herding.routing.fair_queue import Place, Ticket
from herding.routing.scheduler import Scheduler
from herding.serving.request import RequestRun
from herding.serving.selector import Assignment, RequestTicket, RoutingState, Selector
from herding.values import Queued

RECHECK_SECONDS = 0.2
"""Seconds between two checks of a waiting request for a node, besides being woken."""


class RequestQueue:
    """Grants places on nodes in a fair order, and knows what the waiting requests need.

    `wait_seconds` is how long a request may wait, for all its attempts together.
    """

    def __init__(self, fleet: Fleet, selector: Selector, *, wait_seconds: float) -> None:
        self._fleet, self._selector, self._wait_seconds = fleet, selector, wait_seconds
        self._scheduler: Scheduler[RoutingState, Assignment] = Scheduler(
            lambda ticket: selector.take(ticket.payload), clock=fleet.clock, update_seconds=RECHECK_SECONDS
        )
        self._tickets: set[RequestTicket] = set()
        fleet.changed.subscribe(self._scheduler.schedule)

    def __len__(self) -> int:
        return len(self._scheduler)

    def deadline(self) -> float:
        """Return when a request that starts now stops waiting, in seconds of the fleet's clock."""
        return self._fleet.clock() + self._wait_seconds

    def take_now(self, state: RoutingState) -> Assignment | RequestTicket:
        """Take a place that is free now; where none is, return the ticket to `wait` with."""
        if not self._tickets and (place := self._selector.take(state)):
            return place
        ticket: RequestTicket = Ticket(state.request.account, state.kind, state, state.deadline)
        return self._scheduler.try_acquire(ticket) or ticket

    async def wait(self, run: RequestRun, ticket: RequestTicket) -> AsyncGenerator[Queued, None]:
        """Wait until the ticket has its lease, or the run is stopped; yield the place in the queue as it changes.

        Raises QueueTimeoutError at the deadline, or what says better why no node came.
        """
        run.wait_on(ticket)
        self._tickets.add(ticket)
        try:
            async with aclosing(self._scheduler.wait(ticket)) as places:
                async for place in places:
                    yield self._queued(ticket.payload, place)
        except QueueTimeoutError:
            if self._selector.serving(ticket.payload) or self._selector.coming(ticket.payload):
                raise
            raise ticket.payload.failure or self._selector.no_node_error(ticket.payload) from None
        finally:
            self._tickets.discard(ticket)
            run.wait_on(None)

    def release(self, assignment: Assignment) -> None:
        """Give a place back; the next request in the queue gets it at once."""
        assignment.release()
        if self._tickets:
            self._scheduler.schedule()

    def demand(self) -> Demand:
        """Return the models that requests wait for, that no node serves and that could be loaded."""
        wanted: Counter[str] = Counter()
        for state in (ticket.payload for ticket in self._tickets):
            if self._selector.serving(state) or self._selector.coming(state):
                continue
            nodes = self._selector.switchable(state)
            models = self._selector.models(state.request)
            wanted.update([model for model in models if any(self._fleet.can_load(node, model) for node in nodes)][:1])
        return Demand(wanted)

    def _queued(self, state: RoutingState, place: Place) -> Queued:
        serving = self._selector.serving(state)
        reason = f"waits for a free place on {' or '.join(node.name for node in serving)}"
        if coming := [] if serving else self._selector.coming(state):
            model = next((model for model in self._selector.models(state.request) if model in coming[0].expects), "")
            reason = f"{coming[0].name} is loading {model}" if model else f"{coming[0].name} is loading its model"
        elif not serving:
            able = self._selector.switchable(state)
            reason = f"{able[0].name} will load its model" if able else "waits for a node"
        return Queued(state.request.id, place.position, reason, place.seconds)
