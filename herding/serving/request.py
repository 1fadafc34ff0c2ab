"""A request in the pipeline: what was asked, which never changes, the record of its run, and all runs of the moment."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from herding.errors import HerdingError, NodeError
from herding.nodes.capabilities import Need
from herding.nodes.prices import FREE, Price
from herding.plugins import Plugins
from herding.prompts.checks import NO_CHECKS, judge
from herding.prompts.compose import RenderedPrompt, utf8_size
from herding.prompts.model import Prompt
from herding.routing.policies import Candidate
from herding.serving.chain_plan import ChainPlan, PlannedCall
from herding.serving.filters import ResponseFilters
from herding.serving.response import ResponseRecord
from herding.serving.usage_bounds import ANSWER_TOKENS, BYTES_PER_TOKEN, UsageBounds, Used
from herding.values import (
    Attempt,
    Call,
    CheckResult,
    Considered,
    EmbeddingInput,
    Embeddings,
    FinishReason,
    Kind,
    Outcome,
    Parameters,
    Principal,
    Ranking,
    Reference,
    Status,
    Timings,
    Usage,
)

_IN_INPUT = ("tools", "functions")
"""Parameters that a model reads as a part of its input."""


@dataclass(frozen=True, kw_only=True)  # no slots: it remembers what it works out
class PreparedRequest:
    """A request that is validated and can run.

    `key` is empty for a request without a prompt. `edited` means that the prompt differs from its saved version.
    `arrived_at` is in Unix milliseconds. `texts` are the inputs of a request for embeddings, None for those that a
    model responds to; with a `query`, they are documents to score. `dimensions` is the length of vectors asked for.
    `needs` are what a node must be able to do.
    `references` are the chunks that its retrieval found, None for a prompt without one.

    `chain` is the plan of a prompt with steps. A step of a chain has the `parent` that is the chain's request, and the
    name of its `step`. `bound` is the most that a request may use whose input is not known yet.
    """

    id: str
    arrived_at: int
    principal: Principal
    prompt: Prompt
    rendered: RenderedPrompt
    parameters: Parameters = field(default_factory=Parameters)
    key: str = ""
    version: int = 0
    edited: bool = False
    session_id: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    response_format: Mapping[str, Any] | None = None
    texts: tuple[EmbeddingInput, ...] | None = None
    query: str | None = None
    dimensions: int | None = None
    needs: tuple[Need, ...] = ()
    references: tuple[Reference, ...] | None = None
    chain: ChainPlan | None = None
    parent: str | None = None
    step: str | None = None
    bound: Usage | None = None

    @cached_property
    def account(self) -> str:
        """The account whose limits and place in the queue the request uses."""
        return self.principal.account or self.principal.id

    @cached_property
    def kind(self) -> Kind:
        """The kind of the request."""
        if self.texts is not None:
            return "embeddings" if self.query is None else "rerank"
        if self.chain is not None:
            return "chain"
        if self.parent is not None:
            return "step"
        if self.key:
            return "prompt"
        return "completion" if self.rendered.messages is None else "chat"

    @cached_property
    def limits_cost(self) -> bool:
        """True if a limit of the caller is on money, so that only models with a known price may serve the request."""
        return any(limit.type == "cost" for limit in self.principal.limits)

    @cached_property
    def output_limit(self) -> int | None:
        """The maximum of output tokens that was asked for, of all responses together; None if none was."""
        limit = self.parameters.output_limit
        return None if limit is None else limit * self.parameters.responses

    @cached_property
    def max_usage(self) -> Usage:
        """An upper estimate of the usage, whichever model responds."""
        if self.bound is not None:
            return self.bound
        input_tokens = self.input_tokens(self.rendered)
        if self.texts is not None:
            return Usage(input_tokens, 0)
        raw = max((utf8_size(text) for _, text in self.rendered.families), default=0)
        output_tokens = self.output_limit or self.parameters.responses * ANSWER_TOKENS
        return Usage(max(input_tokens, -(-raw // BYTES_PER_TOKEN)), output_tokens)

    def call(self, model: str, rendered: RenderedPrompt, parameters: Parameters) -> Call:
        """Return the call of a node with an input and the parameters that the node takes."""
        messages, text = (rendered.messages, rendered.text) if self.texts is None else (None, None)
        return Call(self.id, model, messages, text, parameters, self.response_format, rendered.prompts)

    def planned(self, call: PlannedCall) -> PreparedRequest:
        """Return a request that stands for a call of this chain, whose input is not known yet."""
        return replace(self, prompt=call.prompt, model=call.model, chain=None, bound=call.most)

    def input_tokens(self, rendered: RenderedPrompt) -> int:
        """Estimate the input tokens of `rendered`; the response format and tools are part of the input."""
        return -(-(rendered.size + self._form_size) // BYTES_PER_TOKEN)

    @cached_property
    def _form_size(self) -> int:
        """The characters of the response format and the tools as JSON."""
        size = len(json.dumps(self.response_format)) if self.response_format else 0
        if self.parameters.more:
            size += sum(len(json.dumps(given)) for name in _IN_INPUT if (given := self.parameters.more.get(name)))
        return size


class Stoppable(Protocol):
    """Something that a run waits for: a ticket in the queue, or the call of a node."""

    def stop(self) -> None:
        """End it now."""


class RequestRun:
    """The record of one run: response text, attempts, timings and status. Only its own methods write it.

    Times are in milliseconds since the request arrived, from a monotonic clock. `rendered` is the input of the
    current attempt; it may have lost the oldest turns of a chat. `parameters` are those that its node gets, `ignored`
    names those that it does not take. `entered` is done once the request counts in the database. `received` is what the
    node responded; `made` instead, for a request for embeddings or scores of documents. `filters` are those of the
    prompt, None without. `is_streamed` is false if only the whole response is read.
    """

    def __init__(self, request: PreparedRequest, plugins: Plugins | None = None) -> None:
        self.request = request
        self.rendered = request.rendered
        self.parameters, self.ignored = request.parameters, tuple[str, ...]()
        self.entered: asyncio.Future[Any] | None = None
        self.received = ResponseRecord(request.prompt.checks, request.parameters.stop)
        self.made: Embeddings | Ranking | None = None
        self.stopped = self.revoked = self.interrupted = False
        self.is_streamed = True
        uses = request.prompt.filters
        self.filters = ResponseFilters(uses, plugins) if uses and plugins else None
        self._drops_texts = request.principal.opt_out
        self._began = time.perf_counter()
        self._price: Price | None = None
        self._finish: FinishReason | None = None
        self._queued_ms = 0.0
        self._total_ms = 0.0
        self._attempts: list[Attempt] = []
        self._choice: tuple[Candidate, str, str] | None = None
        self._attempt_began = 0.0
        self._considered: tuple[Considered, ...] = ()
        self._error: HerdingError | None = None
        self._status: Status = "running"
        self._check_result = CheckResult()
        self._activity: Stoppable | None = None

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the request arrived."""
        return (time.perf_counter() - self._began) * 1000

    @property
    def first_token_ms(self) -> float | None:
        """Milliseconds from the arrival of the request until a node began to respond; None before."""
        began_at = self.received.began_at
        return None if began_at is None else (began_at - self._began) * 1000

    @property
    def is_finished(self) -> bool:
        """True once the node has said that its response is complete, or the run has ended."""
        return self._finish is not None or self.received.finish_reason is not None

    async def be_entered(self) -> None:
        """Wait until a crash would not forget that the request counts: its caller gets nothing before that.

        What is read as a whole is passed on after the last row, which is committed later: it only must not have failed
        to be entered. Raises StoreError.
        """
        if self.entered and (self.is_streamed or self.entered.done()):
            await asyncio.shield(self.entered)
            self.entered = None

    def stop(self) -> None:
        """Stop the run for its caller. Has no effect on a finished run."""
        if not self.is_finished:
            self.stopped = True
            if self._activity:
                self._activity.stop()

    def revoke(self) -> None:
        """Stop the run because its caller's token is no longer valid."""
        self.revoked = True
        self.stop()

    def interrupt(self) -> None:
        """Stop the run because the app stops. Has no effect on a finished run."""
        self.interrupted = not self.is_finished
        self.stop()

    def drop_texts(self) -> None:
        """Store no text of this run."""
        self._drops_texts = True

    def wait_on(self, activity: Stoppable | None) -> None:
        """Set what `stop` ends: the ticket or the node call that the run waits on now."""
        self._activity = activity
        if activity and self.stopped:
            activity.stop()

    def begin_attempt(self, candidate: Candidate, policy: str, reason: str, considered: tuple[Considered, ...]) -> None:
        """Record the candidate of an attempt that begins; the time until the first one is queueing."""
        self._attempt_began = self.elapsed_ms
        if self._choice is None:
            self._queued_ms = self._attempt_began
        self._choice, self._considered = (candidate, policy, reason), considered

    def call(
        self,
        model: str,
        rendered: RenderedPrompt,
        parameters: Parameters,
        ignored: tuple[str, ...],
        price: Price | None,
    ) -> Call:
        """Return the call of the current attempt, and record it with what its node does not take, and its price."""
        self.rendered, self.parameters, self.ignored, self._price = rendered, parameters, ignored, price
        return self.request.call(model, rendered, parameters)

    def end_attempt(self, error: HerdingError | None) -> tuple[float, float]:
        """Record how the current attempt ended, and return its milliseconds to the first token and in all.

        The run waits on nothing then.
        """
        if self._choice is None:
            raise AssertionError("an attempt has begun")
        candidate, number = self._choice[0], len(self._attempts) + 1
        began, total, first, self._activity = self._attempt_began, self.elapsed_ms, self.first_token_ms, None
        kind, message = (error.type, error.message) if error else (None, None)
        at = self.request.arrived_at + int(began)
        self._attempts.append(Attempt(number, candidate.node, candidate.model, at, total - began, kind, message))
        return (total if first is None else first) - began, total - began

    async def judge(self, plugins: Plugins) -> None:
        """Run the prompt's checks on the whole text; slow ones in a thread, so that other requests go on.

        Reasoning is not judged, and neither is a response that calls tools instead of saying something. Checks of
        `plugins` come last.
        """
        self._total_ms = self.elapsed_ms
        checks = self.request.prompt.checks
        if self.filters and self.filters.refused is not None:
            self._check_result = CheckResult(ok=False, reason=f"refused by a response filter: {self.filters.refused}")
            return
        if checks == NO_CHECKS:
            return
        received = self.received
        text, marked = (self.filters or received).text, received.marked
        if not text and received.has_calls:
            return
        if checks.regex is None and checks.json_schema is None:
            self._check_result = judge(checks, text, marker_seen=marked)
        else:
            self._check_result = await asyncio.to_thread(judge, checks, text, marker_seen=marked)
        if not text and self._check_result.ok is False:
            why = "the model refused" if received.refused else "the response has reasoning and no text"
            if received.refused or received.has_reasoning:
                self._check_result = CheckResult(ok=False, reason=why)
        if checks.plugins and self._check_result.ok is not False:
            await self._judge_by_plugins(plugins, checks.plugins, text)

    async def _judge_by_plugins(self, plugins: Plugins, checks: Mapping[str, Any], text: str) -> None:
        """Run the checks of plugins until one fails. One that could not judge leaves the response without a verdict."""
        unjudged: str | None = None
        for name, argument in checks.items():
            ok, reason = await plugins.check(name, text, argument)
            if ok is False:
                self._check_result = CheckResult(ok=False, reason=f"{name}: {reason}")
                return
            unjudged = unjudged or (reason if ok is None else None)
        self._check_result = CheckResult(ok=None if unjudged else True, reason=unjudged)

    def end(self, status: Status, error: HerdingError | None = None) -> None:
        """Record the end of the run."""
        if error is not None:
            error.request_id = self.request.id
            self._finish = "error"
        else:
            ended = "stop" if self.received.trimmed else self.received.finish_reason or "stop"
            ended = "content_filter" if self.filters and self.filters.refused is not None else ended
            self._finish = "cancelled" if status in ("cancelled", "abandoned") else ended
        broke_off = isinstance(error, NodeError) and self.received.began_at is not None
        self._status, self._error = ("partial" if broke_off else status), error
        self._total_ms = self._total_ms or self.elapsed_ms
        if self._status != "succeeded":
            self._check_result = CheckResult()

    def outcome(self) -> Outcome:
        """Return all that is known now."""
        request = self.request
        candidate, policy, reason = self._choice or (None, None, None)
        timings = Timings(self._queued_ms, self.first_token_ms, self._total_ms)
        used, shown, finish = self._used(), self.filters or self.received, self._finish or self.received.finish_reason
        return Outcome(
            request_id=request.id,
            principal=request.principal.id,
            prompt=request.key,
            created_at=request.arrived_at,
            version=request.version,
            variant=request.rendered.variant,
            edited=request.edited,
            session_id=request.session_id,
            variables=request.variables,
            parameters=self.parameters,
            input=self.rendered.stored_text,
            answer=shown.text,
            model=candidate.model if candidate else request.model,
            node=candidate.node if candidate else None,
            status=self._status,
            finish_reason=finish,
            usage=used.usage,
            timings=timings,
            checks=self._check_result,
            policy=policy,
            reason=reason,
            attempts=tuple(self._attempts),
            candidates=self._considered,
            choices=shown.choices(finish),
            extra={} if self.filters else self.received.extra,
            filters=self.filters.results if self.filters else (),
            ignored=self.ignored,
            references=request.references,
            parent=request.parent,
            step=request.step,
            kind=request.kind,
            token=request.principal.token,
            cost=used.cost,
            charged_tokens=used.charged_tokens,
            charged_cost=used.charged_cost,
            error_type=self._error.type if self._error else None,
            error=self._error.message if self._error else None,
        )

    def stored(self, outcome: Outcome) -> Outcome:
        """Return what the store keeps of `outcome`: no texts for callers who opted out or deleted them meanwhile."""
        return outcome.without_texts() if self._drops_texts else outcome

    def _used(self) -> Used:
        """Return what the request has used; nothing where no node was called.

        The cost is unknown while the request runs. A failed attempt costs nothing as long as the node did not begin to
        respond.
        """
        if self._choice is None:
            cost = None if self._status == "running" else 0
            return Used(Usage(), cost, 0, cost)
        request, reported = self.request, self.received.usage
        output_tokens = -(-self.received.size // BYTES_PER_TOKEN)
        bounds = UsageBounds(
            estimated=Usage(request.input_tokens(self.rendered), output_tokens),
            counted=Usage(-(-self.rendered.text_size // BYTES_PER_TOKEN), output_tokens),
            reserved=request.max_usage,
            output_limit=request.output_limit,
        )
        price = None if self._status == "running" else self._price
        if self._status == "failed" and not output_tokens and reported is None:
            price = FREE
        return bounds.used(reported, price)


class ActiveRequests:
    """A registry of running requests by id, to stop them, to revoke them, and to drop their texts.

    `stopping` is true once the app stops; no request starts from then on.
    """

    def __init__(self) -> None:
        self._runs: dict[str, RequestRun] = {}
        self.stopping = False

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[RequestRun]:
        return iter(list(self._runs.values()))

    def get(self, request_id: str) -> RequestRun | None:
        """Return a running request; None where it does not run."""
        return self._runs.get(request_id)

    def interrupt_all(self) -> None:
        """Interrupt all running requests."""
        for run in self:
            run.interrupt()

    def add(self, run: RequestRun) -> None:
        """Register a request that starts."""
        self._runs[run.request.id] = run

    def remove(self, request_id: str) -> None:
        """Forget a request that ended."""
        self._runs.pop(request_id, None)

    def drop_texts(self, principal: str, request_ids: Collection[str] | None = None) -> None:
        """Store no texts of a principal's running requests: of those with these ids, of all with None."""
        ids = set(request_ids or ())
        for run in self:  # a chain comes before its steps
            request = run.request
            if request.principal.id != principal:
                continue
            if request_ids is None or request.id in ids or request.parent in ids:
                ids.add(request.id)
                run.drop_texts()
