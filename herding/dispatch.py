"""Gets a request answered: waits for a node, tries candidates, fits the call to the model's context."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing

from herding.errors import HerdingError, NodeError, NoNodeError, NotFoundError, UserError
from herding.flight import ANSWER_TOKENS, Flight
from herding.herd import knows, usable
from herding.nodes.base import Node
from herding.prompts.compose import Rendered
from herding.routing import policy
from herding.routing.candidates import Candidate, candidates
from herding.running import Running
from herding.values import Call, Delta, Event, Queued, Started

MAX_ATTEMPTS = 3
WAIT_SECONDS = 60.0
LOOK_EVERY = 0.1
GRACE_SECONDS = 0.5


class Dispatcher:
    """Sends flights to the herd; the only place that tries a second node after a failure.

    `wait_seconds` is how long a request waits for a node that is still loading its model.
    """

    def __init__(self, *, herd: Mapping[str, Node], clock: Callable[[], int], wait_seconds: float) -> None:
        self._herd = herd
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._busy: Counter[str] = Counter()

    async def answer(self, flight: Flight) -> AsyncGenerator[Event, None]:
        """Try candidates, the best first, until one begins to answer.

        A node that failed is not tried again, unless it died and came back meanwhile.
        """
        failed: set[str] = set()
        failure, last = None, ""
        for number in range(1, MAX_ATTEMPTS + 1):
            found = self._candidates(flight)
            if not found:
                async with aclosing(self._wait(flight, failure)) as waiting:
                    async for event in waiting:
                        yield event
                found = self._candidates(flight)
            left = [candidate for candidate in policy.least_busy(found, self._busy) if candidate.node not in failed]
            if flight.stopped or not left:
                break
            candidate = left[0]
            why = policy.reason(candidate, found, asked_for=flight.model is not None)
            why = f"attempt {number} after {last} failed: {why}" if last else why
            flight.chosen(candidate, policy.LEAST_BUSY, why)
            try:
                async with aclosing(self._attempt(flight, candidate, why)) as events:
                    async for event in events:
                        yield event
                return
            except NodeError as error:
                failure, last = error, candidate.node
                await self._herd[candidate.node].look_again()
                if flight.has_text:
                    break
                if candidate in self._candidates(flight):
                    failed.add(candidate.node)
        if failure and not flight.stopped:
            raise failure

    def check_format(self, flight: Flight) -> None:
        """UserError where the form of the answer is given, and none of the nodes that would answer can keep to it."""
        if flight.response_format is None:
            return
        if flight.full.messages is None:
            message = "A raw text has no response_format. Send messages, or run a prompt that has them."
            raise UserError(message, param="response_format")
        able, models = self._allowed(flight), set(self._models(flight))
        serving = [node for node in self._permitted(flight) if _serves(node, models)]
        if serving and not any(_serves(node, models) for node in able):
            where = f"No node that serves {' or '.join(models)} keeps" if models else "No node keeps"
            advice = "Leave it out, and run a prompt with a json_schema contract instead."
            raise UserError(f"{where} answers to a response_format. {advice}", param="response_format")

    async def _wait(self, flight: Flight, failure: NodeError | None) -> AsyncGenerator[Event, None]:
        """Wait while a node that will serve the request is still starting or loading; `failure` says why again."""
        deadline, told = flight.elapsed_ms + self._wait_seconds * 1000, False
        while not self._candidates(flight):
            models = self._models(flight)
            coming = [node.name for node in self._allowed(flight) if set(models) & set(node.expects)]
            if not coming or flight.elapsed_ms > deadline:
                raise failure or self._why_nobody(flight, models)
            if flight.stopped:
                return
            if not told:
                told = True
                yield Queued(flight.id, 1, f"{coming[0]} is loading its model")
            await asyncio.sleep(LOOK_EVERY)

    def _why_nobody(self, flight: Flight, models: list[str]) -> HerdingError:
        if any(flight.model in node.embeds for node in self._permitted(flight)):
            message = f"{flight.model} makes embeddings and no answers. Send texts for it to /v1/embeddings."
            return NotFoundError(message, param="model")
        if flight.model and not knows(self._permitted(flight), flight.model):
            message = f"No node knows the model {flight.model}. Choose one of GET /api/v1/models, or leave it out."
            return NotFoundError(message, param="model")
        wanted = " or ".join(models) or "any model"
        able = [node.name for node in self._allowed(flight) if set(models) & set(node.offers)]
        if able:
            where = " or ".join(able)
            advice = f"Switch {where} to it in the Nodes tab, or choose another model."
            return NoNodeError(f"No node serves {wanted} now. {advice}")
        return NoNodeError(
            f"No node serves {wanted}. Add one that does to the nodes file, or set the key of a hosted one."
        )

    def _models(self, flight: Flight) -> list[str]:
        """The models that may answer, best first; without a prompt that names some, all that are served."""
        if flight.model:
            return [flight.model]
        served = (model for node in self._allowed(flight) for model in (*node.serves, *node.expects))
        return flight.prompt.target_models or list(dict.fromkeys(served))

    def _candidates(self, flight: Flight) -> list[Candidate]:
        return candidates(self._models(flight), {node.name: node.serves for node in self._allowed(flight)})

    def _allowed(self, flight: Flight) -> list[Node]:
        """The nodes that the caller's role may use, and that can keep to the form that the answer must have."""
        return [node for node in self._permitted(flight) if node.formats or flight.response_format is None]

    def _permitted(self, flight: Flight) -> list[Node]:
        return usable(self._herd, flight.who)

    async def _attempt(self, flight: Flight, candidate: Candidate, why: str) -> AsyncGenerator[Event, None]:
        """One call of one node."""
        node, began, began_at = self._herd[candidate.node], flight.elapsed_ms, self._clock()
        failure: NodeError | UserError | None = None
        self._busy[candidate.node] += 1
        try:
            call = await self._fit(flight, candidate, node)
            if flight.stopped:
                return
            flight.running = Running(node, call)
            yield Started(flight.id, candidate.model, candidate.node, why)
            async with aclosing(flight.running.chunks()) as chunks:
                async for chunk in chunks:
                    if text := flight.take(chunk):
                        yield Delta(text)
                    if flight.complete and not chunk.finish_reason:
                        await _let_finish(flight)
                        break
        except (NodeError, UserError) as error:
            failure = error
            raise
        finally:
            self._busy[candidate.node] -= 1
            flight.tried(candidate, began_at, flight.elapsed_ms - began, failure)
            if flight.running:
                await flight.running.close()

    async def _fit(self, flight: Flight, candidate: Candidate, node: Node) -> Call:
        """The call for a node; a chat loses its oldest turns until question and answer fit into the context.

        A raw text for the family of the model goes before; where the answer must have a form, messages do.
        """

        def call(rendered: Rendered) -> Call:
            form = flight.response_format
            return Call(flight.id, candidate.model, rendered.messages, rendered.text, flight.parameters, form)

        async def fits(dropped: int) -> bool:
            size = await node.count(call(full.without_oldest_turns(dropped)))
            if size is None:
                return True
            tokens, context = size
            return tokens + min(flight.parameters.max_tokens or ANSWER_TOKENS, context // 2) <= context

        full = flight.full if flight.response_format else flight.full.for_model(candidate.model)
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
