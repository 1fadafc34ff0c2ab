"""Gets texts embedded: by a node that has the model, or by another one when it fails."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from herding.errors import (
    BROKEN,
    AuthenticationError,
    HerdingError,
    NodeError,
    NotFoundError,
    UserError,
)
from herding.herd.listing import usable
from herding.herd.node_call import embedded
from herding.nodes.base import Node
from herding.prompts.compose import NO_PROMPT, RenderedPrompt
from herding.prompts.variables import clean_parameter
from herding.serving.dispatcher import Dispatcher
from herding.serving.run import Flight
from herding.serving.selector import Lease, Search
from herding.values import Chunk, Embeddings, Outcome, Parameters, Principal, Usage
from herding.values.ids import new_id

MAX_TEXTS = 2048
MAX_CHARS = 1_000_000

log = logging.getLogger(__name__)


class TextsFlight(Flight):
    """A request for embeddings on its way; its input is the list of texts as JSON, and its answer stays empty."""

    def __init__(self, texts: Sequence[str], **facts: Any) -> None:
        written = RenderedPrompt(text=json.dumps(list(texts), ensure_ascii=False))
        super().__init__(
            key="", prompt=NO_PROMPT, session_id=None, variables={}, rendered=written, parameters=Parameters(), **facts
        )
        self.texts = texts
        self.task: asyncio.Task[Embeddings] | None = None

    def stop(self) -> None:
        super().stop()
        if self.task:
            self.task.cancel()


class Embedder:
    """Sends texts to the herd.

    `admit` enters a request into its caller's limits, `record` writes its row; each is called once a request.
    """

    def __init__(
        self,
        *,
        herd: Mapping[str, Node],
        dispatcher: Dispatcher,
        clock: Callable[[], int],
        admit: Callable[[Flight, int], Awaitable[None]],
        record: Callable[[Flight], Awaitable[Outcome]],
    ) -> None:
        self._herd, self._dispatcher, self._clock = herd, dispatcher, clock
        self._admit, self._record = admit, record

    async def embed(
        self, model: str, texts: Sequence[str], who: Principal, *, dimensions: int | None = None
    ) -> tuple[Outcome, Embeddings]:
        """A vector for each text; the request's row is durable on return, and before an error too."""
        _check(texts)
        if not any(model in node.embeds for node in usable(self._herd, who)):
            raise self._nobody(model, who)
        flight = TextsFlight(texts, request_id=new_id(), arrived_at=self._clock(), who=who, model=model)
        await self._admit(flight, flight.input_tokens)
        try:
            made = await self._answer(flight, dimensions)
            flight.end("succeeded")
        except HerdingError as error:
            flight.end("cancelled" if flight.stopped else "failed", error)
            raise
        except asyncio.CancelledError:
            flight.end("abandoned")
            raise
        except Exception as error:
            log.exception("Request %s failed inside Herding", flight.id)
            broken = HerdingError(BROKEN)
            flight.end("failed", broken)
            raise broken from error
        finally:
            outcome = await self._record(flight)
        return outcome, made

    async def _answer(self, flight: TextsFlight, dimensions: int | None) -> Embeddings:
        """Try nodes until one answers; none is tried twice."""
        search = Search(flight, embeds=True)
        self._dispatcher.begin()
        while True:
            lease = await self._dispatcher.place(search)
            if lease is None:
                _go_on(flight)
                raise UserError("The request was stopped.")
            try:
                made = await self._attempt(flight, lease, dimensions)
                self._dispatcher.answered(search)
                return made
            except NodeError as error:
                if not await self._dispatcher.again(search, lease, error):
                    raise

    async def _attempt(self, flight: TextsFlight, lease: Lease, dimensions: int | None) -> Embeddings:
        """One call of one node."""
        candidate, began, began_at = lease.candidate, flight.elapsed_ms, self._clock()
        flight.chosen(candidate, lease.policy, lease.why, lease.considered)
        failure: HerdingError | None = None
        try:
            _go_on(flight)
            node = self._herd[candidate.node]
            asking = embedded(node, candidate.model, flight.texts, dimensions=dimensions)
            made = await _stoppable(flight, asking)
            usage = Usage(made.input_tokens, 0, made.source)
            flight.take(Chunk(finish_reason="stop", usage=usage))
            lease.permit.succeeded()
            return made
        except (NodeError, UserError) as error:
            failure = error
            if not flight.stopped:
                await self._dispatcher.failed(lease, error)
            raise
        finally:
            flight.tried(candidate, began_at, flight.elapsed_ms - began, failure)
            self._dispatcher.leave(lease)

    def _nobody(self, model: str, who: Principal) -> NotFoundError:
        """Why no node makes embeddings with a model, and which models there are."""
        able = dict.fromkeys(model for node in usable(self._herd, who) for model in node.embeds)
        advice = "Add embedding_models to a node in the nodes file, or set its key."
        if able:
            advice = f"These are there: {', '.join(able)}."
        return NotFoundError(f"No node makes embeddings with '{model}'. {advice}", param="model")


def _check(texts: Sequence[str]) -> None:
    """UserError for what no node need be asked."""
    if not 0 < len(texts) <= MAX_TEXTS:
        raise UserError(f"Send 1 to {MAX_TEXTS:,} texts.", param="input")
    if not all(texts):
        raise UserError("An empty text has no embedding. Leave it out.", param="input")
    if sum(map(len, texts)) > MAX_CHARS:
        message = f"The texts have more than {MAX_CHARS:,} characters together. Send them in several requests."
        raise UserError(message, param="input")
    for text in texts:
        clean_parameter(text, "input", subject="A text")


async def _stoppable(flight: TextsFlight, asking: Coroutine[Any, Any, Embeddings]) -> Embeddings:
    """What a node answers; the call ends with its caller, and with a stop."""
    flight.task = task = asyncio.create_task(asking, name=f"embed {flight.id}")
    try:
        await asyncio.wait([task])  # unlike awaiting the task, this tells a stop from our own cancellation
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    _go_on(flight)
    return task.result()


def _go_on(flight: TextsFlight) -> None:
    """Raises where nobody may have, or wants, the answer any more."""
    if flight.expelled:
        raise AuthenticationError("The token of this request is not valid any more.")
    if flight.stopped:
        raise UserError("The request was stopped.")
