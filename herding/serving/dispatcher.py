"""Gets a request answered: waits for a node, tries candidates, fits the call to the model's context."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from herding.errors import HerdingError, NodeError, NoModelError, NoTurnError, RefusalError, UserError
from herding.evaluation.learning import Learning
from herding.herd.fleet import Fleet
from herding.herd.node_call import NodeCall
from herding.nodes.base import Node
from herding.prompts.compose import Rendered
from herding.routing.budget import RetryBudget, pause
from herding.routing.fair_queue import Place, Ticket
from herding.routing.scheduler import Scheduler
from herding.serving.run import ANSWER_TOKENS, Flight
from herding.serving.selector import Lease, Search, Selector, Wish
from herding.values import Call, Delta, Event, Queued, Started

MAX_ATTEMPTS = 3
WAIT_SECONDS = 60.0

LOOK_EVERY = 0.2
"""Seconds between two looks of a request that waits at whether a node can take it, which nobody may tell of."""

GRACE_SECONDS = 0.5


class Dispatcher:
    """Sends flights to the herd; the only place that tries a second node after a failure.

    `wait_seconds` is how long a request waits for a free place, or for a node that is still loading its model.
    """

    def __init__(self, *, fleet: Fleet, learning: Learning, clock: Callable[[], int], wait_seconds: float) -> None:
        self._fleet, self._clock, self._wait_seconds = fleet, clock, wait_seconds
        self._chooser = Selector(fleet, learning)
        self._budget = RetryBudget(fleet.clock)
        self._wishes: set[Wish] = set()
        self._waiting: Scheduler[Search, Lease] = Scheduler(self._chooser.take, clock=fleet.clock, every=LOOK_EVERY)

    @property
    def waiting(self) -> int:
        """How many requests wait for a place now."""
        return len(self._waiting)

    def wanted(self) -> Counter[str]:
        """The models that requests wait for, that nobody serves, and that a node may be switched to for them.

        Of several models that would do, it is the first that a node offers.
        """
        found: Counter[str] = Counter()
        for search in (wish.about for wish in self._wishes):
            if not self._chooser.serving(search) and not self._chooser.coming(search):
                offered = {model for node in self._chooser.switchable(search) for model in node.offers}
                found.update([model for model in self._chooser.models(search.flight) if model in offered][:1])
        return found

    def waited_for(self, node: Node) -> bool:
        """Whether a request waits for what the node serves now."""
        return any(node in self._chooser.serving(wish.about) for wish in self._wishes)

    async def answer(self, flight: Flight) -> AsyncGenerator[Event, None]:
        """Try candidates, the best first, until one begins to answer.

        A node that failed is not tried again, unless it died and came back meanwhile.
        """
        search = Search(flight)
        self.begin()
        while True:
            wish = self._wish(search)
            if self._waiting.try_acquire(wish) is None:
                async with aclosing(self._wait(wish)) as waiting:
                    async for event in waiting:
                        yield event
            if wish.lease is None:
                return
            try:
                async with aclosing(self._attempt(search, wish.lease)) as events:
                    async for event in events:
                        yield event
                return
            except NodeError as error:
                if not await self.again(search, wish.lease, error):
                    raise

    def begin(self) -> None:
        """A request begins; what may be retried is a share of those that do."""
        self._budget.record_request()

    def pump(self) -> None:
        """Something changed by which a request that waits could go on."""
        self._waiting.schedule()

    def check_format(self, flight: Flight) -> None:
        """UserError where the form of the answer is given, and none of the nodes that would answer can keep to it."""
        if flight.response_format is None:
            return
        if flight.full.messages is None:
            message = "A raw text has no response_format. Send messages, or run a prompt that has them."
            raise UserError(message, param="response_format")
        able, models = self._chooser.allowed(flight), set(self._chooser.models(flight))
        serving = [node for node in self._chooser.permitted(flight) if _serves(node, models)]
        if serving and not any(_serves(node, models) for node in able):
            where = f"No node that serves {' or '.join(models)} keeps" if models else "No node keeps"
            advice = "Leave it out, and run a prompt with a json_schema check instead."
            raise UserError(f"{where} answers to a response_format. {advice}", param="response_format")

    def _wish(self, search: Search) -> Wish:
        """A ticket for the next attempt; all attempts of a request together wait no longer than one may."""
        who = search.flight.who
        if search.deadline is None:
            search.deadline = self._fleet.clock() + self._wait_seconds
        return Ticket(who.account or who.id, search.kind, search, search.deadline)

    async def _wait(self, wish: Wish) -> AsyncGenerator[Event, None]:
        """Wait for a place, or until the caller wants no answer any more."""
        flight = wish.about.flight
        flight.when_stopped = lambda: self._waiting.withdraw(wish)
        self._wishes.add(wish)
        try:
            async with aclosing(self._waiting.wait(wish)) as places:
                async for place in places:
                    if flight.stopped:
                        return
                    yield self._queued(wish, place)
        except NoTurnError:
            if self._chooser.serving(wish.about) or self._chooser.coming(wish.about):
                raise
            raise wish.about.failure or self._chooser.nobody(wish.about) from None
        finally:
            self._wishes.discard(wish)
            flight.when_stopped = None

    def _queued(self, wish: Wish, place: Place) -> Queued:
        flight, serving = wish.about.flight, self._chooser.serving(wish.about)
        reason = f"waits for a free place on {' or '.join(node.name for node in serving)}"
        if coming := [] if serving else self._chooser.coming(wish.about):
            reason = f"{coming[0].name} is loading its model"
        elif not serving:
            able = self._chooser.switchable(wish.about)
            reason = f"{able[0].name} is switched to its model when idle" if able else "waits for a node"
        return Queued(flight.id, place.position, reason, place.seconds)

    async def place(self, search: Search) -> Lease | None:
        """A place for a request whose caller is not told how the queue moves; None where it was stopped."""
        wish = self._wish(search)
        if self._waiting.try_acquire(wish) is None:
            async with aclosing(self._wait(wish)) as waiting:
                async for _ in waiting:
                    pass
        return wish.lease

    def leave(self, lease: Lease) -> None:
        """The call is over: its place goes to the next one."""
        lease.release()
        self._waiting.schedule()

    def answered(self, search: Search) -> None:
        """A call got its answer."""
        if search.attempt > 1:
            self._budget.record_success()

    async def failed(self, lease: Lease, error: HerdingError) -> None:
        """A call failed. Before its place goes to the next one, the node looks whether it still serves anything.

        That a node has not one of its models says nothing of the others.
        """
        node = self._fleet.get(lease.candidate.node)
        if node and isinstance(error, NodeError):
            await node.look_again()
        if node and isinstance(error, NoModelError) and len({*node.serves, *node.embeds}) > 1:
            lease.permit.cancelled()
        else:
            lease.permit.failed(error)

    async def again(self, search: Search, lease: Lease, error: NodeError) -> bool:
        """After an attempt failed: whether there is to be another one, some moments later."""
        candidate = lease.candidate
        search.failure, search.last = error, candidate.node
        node = self._fleet.get(candidate.node)
        if isinstance(error, NoModelError):
            search.missing.add(candidate)
        elif node and candidate.model in search.served(node):  # else it died, and may be tried again when it is back
            search.failed.add(candidate.node)
        flight = search.flight
        if flight.has_text or flight.stopped or search.attempt == MAX_ATTEMPTS:
            return False
        sound = not isinstance(error, RefusalError) and self._chooser.sound(search)
        if not self._chooser.hopes(search) or not self._budget.allow_retry(sound=sound):
            return False
        await asyncio.sleep(pause(search.attempt, self._fleet.rng))
        search.attempt += 1
        return True

    async def _attempt(self, search: Search, lease: Lease) -> AsyncGenerator[Event, None]:
        """One call of one node."""
        flight, candidate = search.flight, lease.candidate
        began, began_at = flight.elapsed_ms, self._clock()
        flight.chosen(candidate, lease.policy, lease.why, lease.considered)
        failure: NodeError | UserError | None = None
        running: NodeCall | None = None
        try:
            node = self._fleet[candidate.node]
            call = await self._fit(flight, lease, node)
            if flight.stopped:
                return
            flight.running = running = NodeCall(node, call)
            yield Started(flight.id, candidate.model, candidate.node, lease.why)
            async with aclosing(running.chunks()) as chunks:
                async for chunk in chunks:
                    if chunk.text and lease.permit.trial:
                        lease.permit.first_token()
                    if text := flight.take(chunk):
                        yield Delta(text)
                    if flight.complete and not chunk.finish_reason:
                        await _let_finish(flight)
                        break
            self._succeeded(flight, lease, began)
            self.answered(search)
        except (NodeError, UserError) as error:
            failure = error
            await self.failed(lease, error)
            raise
        finally:
            flight.tried(candidate, began_at, flight.elapsed_ms - began, failure)
            try:
                if running:
                    await running.close()
            finally:
                self.leave(lease)

    def _succeeded(self, flight: Flight, lease: Lease, began: float) -> None:
        """Note for the next choice that the node answered, and how quickly; a stopped answer says nothing."""
        if flight.stopped:
            return
        lease.permit.succeeded()
        total = flight.elapsed_ms - began
        first = total if flight.first_token_ms is None else flight.first_token_ms - began
        lease.slot.record_latency(first_token_ms=first, total_ms=total)

    async def _fit(self, flight: Flight, lease: Lease, node: Node) -> Call:
        """The call for a node; a chat loses its oldest turns until question and answer fit into the context.

        A raw text for the family of the model goes before; where the answer must have a form, messages do.
        """
        model = lease.candidate.model

        def call(rendered: Rendered) -> Call:
            form = flight.response_format
            return Call(flight.id, model, rendered.messages, rendered.text, flight.parameters, form)

        async def fits(dropped: int) -> bool:
            size = await node.count(call(full.without_oldest_turns(dropped)))
            if size is None:
                return True
            tokens, context = size
            return tokens + min(flight.parameters.max_tokens or ANSWER_TOKENS, context // 2) <= context

        full = flight.full if flight.response_format else flight.full.for_model(model)
        flight.rendered = full
        if full.turns and not await fits(0):
            dropped = await _least(fits, full.turns)
            flight.rendered = full.without_oldest_turns(dropped)
        return call(flight.rendered)


def _serves(node: Node, models: set[str]) -> bool:
    """Whether a node answers with one of the models, or soon will; with any where none is named."""
    served = {*node.serves, *node.expects}
    return bool(served & models if models else served)


async def _least(fits: Callable[[int], Awaitable[bool]], turns: int) -> int:
    """The least number of oldest turns to drop, in pairs of question and answer, so that the rest fits."""
    low, high = 1, -(-turns // 2)
    while low < high:
        middle = (low + high) // 2
        if await fits(2 * middle):
            high = middle
        else:
            low = middle + 1
    return min(2 * low, turns)


async def _let_finish(flight: Flight) -> None:
    """After the stop marker, give the node a moment to end by itself, so that it can tell its exact usage."""
    if flight.running is None:
        return
    try:
        async with asyncio.timeout(GRACE_SECONDS):
            async for chunk in flight.running.chunks():
                flight.take(chunk)
    except (TimeoutError, NodeError):
        flight.running.stop()
