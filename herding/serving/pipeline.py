"""The way of a request, top to bottom: prepare -> admit -> queue -> dispatch -> judge -> record.

Prompts, chats, completions, embeddings and scores of documents all take it. Each stage is a method here, over one
small object:

prepare     `Preparer` resolves the prompt, checks the input and renders it
admit       `Store.admit` enters the request into its caller's limits
queue       `RequestQueue` grants a place on a node that the `Selector` picks
dispatch    `NodeCall` streams the response of the node; after a failure the queue grants another place.
            `ChainRunner` takes each step of a chain through these stages instead, as a request of its own
judge       `RequestRun.judge` runs the checks of the prompt, on what its response filters let through
record      `Store.finish` writes the row, however the request ended
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace

from herding.access.operations import CHAT, EMBED, RUN
from herding.access.roles import owner, require
from herding.errors import (
    BROKEN,
    AuthenticationError,
    HerdingError,
    LimitError,
    NodeError,
    NoModelError,
    NotFoundError,
    RequestRejectedError,
    ShuttingDownError,
    StoreError,
    UserError,
)
from herding.evaluation.learning import Learning
from herding.herd.fleet import Fleet
from herding.herd.node_call import EmbeddingCall, NodeCall, RerankCall
from herding.knowledge.retrieval import Retrieved
from herding.plugins import Plugins
from herding.prompts.compose import RenderedPrompt
from herding.routing.breaker import Sender
from herding.routing.budget import RetryBudget, pause
from herding.routing.policies import Candidate
from herding.serving.chain import ChainRun, ChainRunner
from herding.serving.metrics import Metrics
from herding.serving.preparer import Preparer, fit_to_context
from herding.serving.queue import RequestQueue
from herding.serving.request import ActiveRequests, PreparedRequest, RequestRun
from herding.serving.selector import Assignment, RoutingState, Selector
from herding.store import Store
from herding.values import (
    Delta,
    Done,
    EmbeddingInput,
    Embeddings,
    Event,
    InputSize,
    Outcome,
    Parameters,
    Principal,
    Ranking,
    Request,
    Started,
)

MAX_ATTEMPTS = 3
COUNT_SECONDS = 0.4
"""Time limit of a node that counts the tokens of a preview, for which a person waits."""

GRACE_SECONDS = 0.5
"""After the stop marker, how long a node may take to end by itself and report its exact usage."""

log = logging.getLogger(__name__)


class Pipeline:
    """Runs requests. Every method raises AccessError where the role of the principal does not allow it."""

    def __init__(
        self,
        *,
        preparer: Preparer,
        store: Store,
        fleet: Fleet,
        selector: Selector,
        queue: RequestQueue,
        learning: Learning,
        active: ActiveRequests,
        metrics: Metrics,
        plugins: Plugins,
    ) -> None:
        self._plugins = plugins
        self._preparer, self._store, self._fleet = preparer, store, fleet
        self._selector, self._queue, self._learning = selector, queue, learning
        self._active, self._metrics = active, metrics
        self._budget = RetryBudget(fleet.clock)
        self._chains = ChainRunner(preparer, self._begin, self._process)

    async def run(self, request: Request, who: Principal) -> Outcome:
        """Run a request to its end and return the outcome. Raises what `stream` raises."""
        require(who, RUN if request.prompt else CHAT)
        return await self._finish(self._begin(await self._preparer.prepare(request, who)))

    async def stream(self, request: Request, who: Principal) -> AsyncGenerator[Event, None]:
        """Run a request and yield Queued*, Started, Delta*, Done; the row is durable before Done or an error.

        A chain yields StepChanged, too; its Started and Delta are those of the response.

        UserError, AccessError and LimitError come before anything ran, and leave no row. A NodeError has the id of its
        row. Closing the stream early ends the generation with the status `abandoned`.
        ShuttingDownError where the app stops before the end.
        """
        require(who, RUN if request.prompt else CHAT)
        run = self._begin(await self._preparer.prepare(request, who))
        async with aclosing(self._process(run)) as events:
            async for event in events:
                yield event

    async def embed(
        self,
        model: str,
        texts: Sequence[EmbeddingInput],
        who: Principal,
        *,
        dimensions: int | None = None,
        parameters: Parameters | None = None,
    ) -> tuple[Outcome, Embeddings]:
        """Return the outcome and a vector for each text; the row is durable by then. Raises what `stream` raises.

        A text may also be its token ids. NotFoundError where no node makes embeddings with `model`. The vectors
        themselves are not stored.
        """
        require(who, EMBED)
        prepared = self._preparer.prepare_embeddings(model, texts, who, dimensions=dimensions, parameters=parameters)
        run = RequestRun(prepared)
        outcome = await self._finish(run)
        if not isinstance(run.made, Embeddings):
            raise UserError("The request was stopped.")
        return outcome, run.made

    async def rerank(self, model: str, query: str, documents: Sequence[str], who: Principal) -> tuple[Outcome, Ranking]:
        """Return the outcome and how well each document answers a query; the row is durable by then.

        Raises what `stream` raises, and NotFoundError where no node reranks with `model`.
        """
        require(who, EMBED)
        run = RequestRun(self._preparer.prepare_rerank(model, query, documents, who))
        outcome = await self._finish(run)
        if not isinstance(run.made, Ranking):
            raise UserError("The request was stopped.")
        return outcome, run.made

    async def preview(self, request: Request, who: Principal) -> RenderedPrompt:
        """Return what a run of `request` would send to a model, and which variant it picks."""
        require(who, RUN)
        return await self._preparer.preview(request, who)

    async def render(self, request: Request, who: Principal) -> RenderedPrompt:
        """Return what a run of `request` sends to a model: as `preview`, with what sources and retrieval fill.

        Raises UserError for a chain.
        """
        require(who, RUN)
        return await self._preparer.render(request, who)

    async def sized(self, request: Request, who: Principal) -> tuple[RenderedPrompt, InputSize]:
        """Return what a run of `request` sends to a model, empty for a chain, and its tokens.

        These are counted by a model that may serve it, else estimated.
        """
        require(who, RUN)
        prepared = await self._preparer.prepare(request, who)
        return replace(prepared.rendered, notes=prepared.prompt.notes), await self._size(prepared)

    async def _size(self, prepared: PreparedRequest) -> InputSize:
        if prepared.chain:
            return InputSize(prepared.chain.most.input_tokens)
        for node in self._selector.allowed(prepared):
            model = next((model for model in self._selector.models(prepared) if model in node.serves), None)
            if model is None:
                continue
            call = prepared.call(model, prepared.rendered.for_model(model), prepared.parameters)
            with suppress(NodeError, UserError, TimeoutError):
                async with asyncio.timeout(COUNT_SECONDS):
                    if (size := await node.count(call)) is not None:
                        return InputSize(size[0], model, size[1])
        return InputSize(prepared.input_tokens(prepared.rendered))

    async def retrieve(self, request: Request, who: Principal) -> Retrieved | None:
        """Return the chunks that a run of `request` would get; None for a prompt without retrieval."""
        require(who, RUN)
        return await self._preparer.retrieve(request, who)

    async def cancel(self, request_id: str, who: Principal) -> None:
        """Stop a running request of this principal; its stream ends with Done and the status `cancelled`."""
        require(who, RUN)
        run = self._active.get(request_id)
        if run is None or owner(who) not in (None, run.request.principal.id):
            raise NotFoundError("This request is not running.", param="request_id")
        run.stop()

    # Prepared -> recorded

    def _begin(self, prepared: PreparedRequest) -> RequestRun:
        """Return the run of a prepared request."""
        return RequestRun(prepared, self._plugins) if prepared.chain is None else ChainRun(prepared)

    async def _finish(self, run: RequestRun) -> Outcome:
        """Take a prepared request to its end and return the outcome."""
        run.is_streamed = False
        async with aclosing(self._process(run)) as events:
            async for event in events:
                if isinstance(event, Done):
                    return event.outcome
        raise AssertionError("a run ends with Done or raises")

    async def _process(self, run: RequestRun) -> AsyncGenerator[Event, None]:
        """Take a prepared request through all further stages."""
        if self._active.stopping:
            raise ShuttingDownError
        self._selector.check(run.request)
        await self._admit(run)
        try:
            async with aclosing(self._events(run)) as events:
                async for event in events:
                    yield event
            if run.interrupted:
                raise ShuttingDownError
            if run.revoked:
                raise AuthenticationError("The token of this request is not valid any more.")
            await run.be_entered()
            if not run.stopped:
                await run.judge(self._plugins)
            run.end("cancelled" if run.stopped else "succeeded")
        except HerdingError as error:
            run.end("interrupted" if run.interrupted else "cancelled" if run.revoked else "failed", error)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            run.end("interrupted" if self._active.stopping else "abandoned")
            raise
        except Exception as error:
            log.exception("Request %s failed inside Herding", run.request.id)
            broken = HerdingError(BROKEN)
            run.end("failed", broken)
            raise broken from error
        finally:
            outcome = await self._record(run)
        yield Done(outcome)

    async def _admit(self, run: RequestRun) -> None:
        """Enter a request into its caller's limits, a chain with all its calls. Raises LimitError."""
        request, tokens, row = run.request, run.request.max_usage.total, run.stored(run.outcome())
        if request.parent is not None:  # entered with its chain
            run.entered = await self._store.begin_step(row)
            self._active.add(run)
            return
        cost = self._selector.max_cost(request) if request.limits_cost else 0
        calls = request.chain.count if request.chain else 1
        try:
            run.entered = await self._store.admit(
                row, limits=request.principal.limits, tokens=tokens, cost=cost, requests=calls, account=request.account
            )
        except LimitError:
            self._metrics.over_limit()
            raise
        self._active.add(run)

    def _events(self, run: RequestRun) -> AsyncGenerator[Event, None]:
        """Return the events of an admitted run."""
        if isinstance(run, ChainRun):
            return self._chains.run(run)
        return self._filtered(run) if run.filters else self._dispatch(run)

    async def _filtered(self, run: RequestRun) -> AsyncGenerator[Event, None]:
        """Dispatch, and pass on what the response filters of the prompt let through; a refusal ends the call."""
        if run.filters is None:
            raise AssertionError("the run has filters")
        async with aclosing(self._dispatch(run)) as events:
            async for event in events:
                shown = await run.filters.add(event) if isinstance(event, Delta) else event
                if shown is not None:
                    yield shown
                if run.filters.refused is not None:
                    return
        if not run.stopped and (rest := await run.filters.end()):
            yield rest

    async def _dispatch(self, run: RequestRun) -> AsyncGenerator[Event, None]:
        """Queue for a node and call it; after a failure before the first token, try another candidate.

        A node that failed is not tried again, unless it restarted meanwhile. Ends early where the run is stopped.
        """
        self._budget.record_request()
        state = RoutingState(run.request, self._queue.deadline())
        while True:
            taken = self._queue.take_now(state)
            if not isinstance(taken, Assignment):
                async with aclosing(self._queue.wait(run, taken)) as places:
                    async for place in places:
                        yield place
                if taken.lease is None:
                    return
                taken = taken.lease
            try:
                async with aclosing(self._attempt(run, taken)) as events:
                    async for event in events:
                        yield event
            except NodeError as error:
                if not await self._may_retry(run, state, taken, error):
                    raise
            else:
                if state.attempt > 1:
                    self._budget.record_success()
                return

    async def _attempt(self, run: RequestRun, assignment: Assignment) -> AsyncGenerator[Event, None]:
        """Call one node and yield Started, Delta*, where the response is streamed."""
        candidate, permit, reason = assignment.candidate, assignment.permit, assignment.reason
        run.begin_attempt(candidate, assignment.policy, reason, assignment.considered)
        failure: HerdingError | None = None
        responded = False
        try:
            call = await self._call(run, assignment)
            run.wait_on(call)
            if run.is_streamed:
                yield Started(run.request.id, candidate.model, candidate.node, reason, run.ignored)
            async with aclosing(call.chunks()) as chunks:
                async for chunk in chunks:
                    if permit.trial and (chunk.text or chunk.deltas):
                        permit.first_token()
                    delta = run.received.add(chunk)
                    if run.received.complete:  # the node may end by itself, and so report its exact usage
                        call.end_within(GRACE_SECONDS)
                    if run.is_streamed and run.entered:
                        await run.be_entered()
                    if delta and (run.is_streamed or run.filters):
                        yield delta
            run.made = call.made
            responded = not run.stopped
        except (NodeError, UserError) as error:
            failure = error
            await self._report_failure(run, assignment, error)
            raise
        finally:
            first_token_ms, total_ms = run.end_attempt(failure)
            if responded:
                permit.succeeded()
                if run.request.texts is None:  # vectors say nothing about the latency of responses
                    assignment.slot.record_latency(first_token_ms=first_token_ms, total_ms=total_ms)
            self._queue.release(assignment)

    async def _call(self, run: RequestRun, assignment: Assignment) -> NodeCall:
        """Return the call of the assigned node, with the input that fits its model.

        A raw text for the family of the model takes precedence over messages, unless there is a response format.
        """
        request, node, model = run.request, assignment.node, assignment.candidate.model
        rendered = request.rendered if request.response_format else request.rendered.for_model(model)
        if rendered.turns:
            rendered = await fit_to_context(request, rendered, node, model)
        capabilities, price = node.capabilities(model), node.price(model)
        parameters, ignored = capabilities.accepted(request.parameters)
        call = run.call(model, rendered, parameters, ignored=ignored, price=price)
        if request.texts is not None:
            if request.query is not None:
                return RerankCall(node, call, request.query, [text for text in request.texts if isinstance(text, str)])
            return EmbeddingCall(node, call, request.texts, dimensions=request.dimensions)
        return NodeCall(node, call)

    async def _report_failure(self, run: RequestRun, assignment: Assignment, error: HerdingError) -> None:
        """Record a failed call in the node's health, after the node has checked what it still serves."""
        node = self._fleet.get(assignment.candidate.node)
        if node and isinstance(error, NodeError):
            await node.look_again()
        assignment.permit.failed(error, Sender(run.request.account, hash(run.rendered.stored_text)))

    async def _may_retry(self, run: RequestRun, state: RoutingState, assignment: Assignment, error: NodeError) -> bool:
        """Return whether another attempt may follow a failed one; if so, after a short pause."""
        candidate = assignment.candidate
        state.failure, state.last_node = error, candidate.node
        node = self._fleet.get(candidate.node)
        if isinstance(error, RequestRejectedError):  # every node with this model would say the same
            state.missing.update(Candidate(candidate.model, name) for name in self._fleet)
        elif isinstance(error, NoModelError):
            state.missing.add(candidate)
        elif node and state.still_serves(candidate, node):  # else it died, and may be tried again when it is back
            state.failed.add(candidate.node)
        if run.received.began_at is not None or run.stopped or state.attempt == MAX_ATTEMPTS:
            return False
        sound = not isinstance(error, RequestRejectedError) and self._selector.has_sound_node(state)
        if not self._selector.can_continue(state) or not self._budget.allow_retry(sound=sound):
            return False
        await asyncio.sleep(pause(state.attempt, self._fleet.rng))
        state.attempt += 1
        return True

    async def _record(self, run: RequestRun) -> Outcome:
        """Write the row of a request that ended: the only place that does.

        A caller that is cancelled meanwhile leaves at once; the row is written and counted all the same.
        """
        outcome = run.outcome()

        def recorded(written: asyncio.Future[None]) -> None:
            self._active.remove(run.request.id)
            if written.exception() is None:
                self._metrics.ended(outcome)
                self._learning.ended(outcome)

        try:
            written = self._store.finish(run.stored(outcome))
        except StoreError:
            self._active.remove(run.request.id)
            raise
        written.add_done_callback(recorded)
        await asyncio.shield(written)
        return outcome
