"""A request on its way: the facts it came with, and what became of it so far."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from herding.errors import HerdingError, NodeError
from herding.herd.node_call import NodeCall
from herding.prompts.checks import Trimmer, judge
from herding.prompts.compose import Rendered
from herding.prompts.model import Prompt
from herding.routing.policies import Candidate
from herding.values import (
    Attempt,
    CheckResult,
    Chunk,
    Considered,
    FinishReason,
    Outcome,
    Parameters,
    Principal,
    Status,
    Timings,
    Usage,
)

_to_json = json.JSONEncoder(ensure_ascii=False).encode

CHARS_PER_TOKEN = 4
ANSWER_TOKENS = 256
"""What an answer is taken to need where no `max_tokens` is set."""


class Flight:
    """Gathers one request's answer, attempts and times; `outcome` tells them at any moment.

    Times are in milliseconds since the request arrived, from a clock that never goes back. `full` is the whole
    input; `rendered` is what is left of it for the node that is tried.
    """

    def __init__(
        self,
        *,
        request_id: str,
        arrived_at: int,
        who: Principal,
        key: str,
        prompt: Prompt,
        version: int = 0,
        edited: bool = False,
        session_id: str | None,
        variables: Mapping[str, Any],
        rendered: Rendered,
        parameters: Parameters,
        model: str | None,
        response_format: Mapping[str, Any] | None = None,
    ) -> None:
        self.id, self.who, self.key = request_id, who, key
        self.prompt, self.parameters, self.model = prompt, parameters, model
        self.response_format = response_format
        self.full = self.rendered = rendered
        self._facts: dict[str, Any] = {
            "request_id": request_id,
            "created_at": arrived_at,
            "principal": who.id,
            "prompt": key,
            "version": version,
            "edited": edited,
            "session_id": session_id,
            "variables": variables,
            "parameters": parameters,
            "variant": rendered.variant,
        }
        self._began = time.perf_counter()
        self._trimmer = Trimmer(prompt.checks, parameters.stop)
        self._answer: list[str] = []
        self._heard = 0
        self._usage: Usage | None = None
        self._finish: FinishReason | None = None
        self._queued_ms = 0.0
        self._first_token_ms: float | None = None
        self._attempts: list[Attempt] = []
        self._choice: tuple[Candidate, str, str] | None = None
        self._considered: tuple[Considered, ...] = ()
        self._error: HerdingError | None = None
        self._status: Status = "running"
        self._verdict = CheckResult()
        self._total_ms = 0.0
        self._written: tuple[Rendered, str] | None = None
        self.running: NodeCall | None = None
        self.when_stopped: Callable[[], None] | None = None
        self.stopped = False
        self.expelled = False
        self.hushed = who.opt_out

    @property
    def elapsed_ms(self) -> float:
        """Since the request came."""
        return (time.perf_counter() - self._began) * 1000

    @property
    def most_tokens(self) -> int:
        """An estimate of the most tokens that the request may take, in and out, whichever model answers."""
        raw = max((len(text) for _, text in self.full.families), default=0)
        return max(self.input_tokens, -(-raw // CHARS_PER_TOKEN)) + (self.parameters.max_tokens or ANSWER_TOKENS)

    @property
    def input_tokens(self) -> int:
        """An estimate of the tokens that go in; the form of the answer is told to the model as well."""
        form = len(json.dumps(self.response_format)) if self.response_format else 0
        return -(-(len(self._input()) + form) // CHARS_PER_TOKEN)

    @property
    def has_text(self) -> bool:
        """Whether the node has begun to answer, so that no other may take over."""
        return self._heard > 0

    @property
    def complete(self) -> bool:
        """Whether the stop marker or a stop string has come: whatever follows is not part of the answer."""
        return self._trimmer.done

    @property
    def first_token_ms(self) -> float | None:
        """When the answer began; None before that."""
        return self._first_token_ms

    def chosen(self, candidate: Candidate, policy: str, reason: str, considered: tuple[Considered, ...] = ()) -> None:
        """A candidate is tried; the time until the first one counts as waiting."""
        if self._choice is None:
            self._queued_ms = self.elapsed_ms
        self._choice, self._considered = (candidate, policy, reason), considered

    def take(self, chunk: Chunk) -> str:
        """Note a chunk of the node; returns the part of the answer that it makes certain."""
        if chunk.text and not self._heard:
            self._first_token_ms = self.elapsed_ms
        self._heard += len(chunk.text)
        self._usage = chunk.usage or self._usage
        self._finish = chunk.finish_reason or self._finish
        text = self._trimmer.feed(chunk.text)
        if chunk.finish_reason and not self._trimmer.done:
            text += self._trimmer.end()
        self._answer.append(text)
        return text

    def tried(self, candidate: Candidate, started_at: int, total_ms: float, error: HerdingError | None = None) -> None:
        """Note how an attempt ended."""
        kind, message = (error.type, error.message) if error else (None, None)
        number = len(self._attempts) + 1
        self._attempts.append(
            Attempt(number, candidate.node, candidate.model, started_at, total_ms, error_type=kind, error=message)
        )

    def stop(self) -> None:
        """The caller wants no more of the answer."""
        if self._finish is None:
            self.stopped = True
            if self.running:
                self.running.stop()
            if self.when_stopped:
                self.when_stopped()

    def expel(self) -> None:
        """The caller may not be answered any more."""
        self.expelled = True
        self.stop()

    async def judge(self) -> None:
        """Judge the whole answer by the checks. Patterns and schemas may take long; other requests go on then."""
        self._total_ms = self.elapsed_ms
        checks = self.prompt.checks
        held = partial(judge, checks, "".join(self._answer), marker_seen=self._trimmer.marked)
        slow = checks.regex is not None or checks.json_schema is not None
        self._verdict = await asyncio.to_thread(held) if slow else held()

    def end(self, status: Status, error: HerdingError | None = None) -> None:
        """The request is over."""
        if error is not None:
            error.request_id = self.id
            self._finish = "error"
        else:
            ended = "stop" if self._trimmer.done else self._finish or "stop"
            self._finish = "cancelled" if status in ("cancelled", "abandoned") else ended
        broke_off = isinstance(error, NodeError) and self.has_text
        self._status, self._error = ("partial" if broke_off else status), error
        self._total_ms = self._total_ms or self.elapsed_ms
        if self._status != "succeeded":
            self._verdict = CheckResult()

    def outcome(self) -> Outcome:
        """All that is known now."""
        candidate, policy, reason = self._choice or (None, None, None)
        return Outcome(
            **self._facts,
            input=self._input(),
            answer="".join(self._answer),
            model=candidate.model if candidate else self.model,
            node=candidate.node if candidate else None,
            status=self._status,
            finish_reason=self._finish,
            usage=self._usage or self._estimate(),
            timings=Timings(self._queued_ms, self._first_token_ms, self._total_ms),
            checks=self._verdict,
            policy=policy,
            reason=reason,
            attempts=tuple(self._attempts),
            candidates=self._considered,
            error_type=self._error.type if self._error else None,
            error=self._error.message if self._error else None,
        )

    def kept(self, outcome: Outcome) -> Outcome:
        """What is written of it: all, or where it is hushed, as for somebody who opted out, no text sent or got."""
        return without_texts(outcome) if self.hushed else outcome

    def _input(self) -> str:
        if self._written is None or self._written[0] is not self.rendered:
            self._written = self.rendered, _written(self.rendered)
        return self._written[1]

    def _estimate(self) -> Usage:
        """Counts for a node that told none; nothing was spent where no node was tried."""
        if self._choice is None:
            return Usage()
        return Usage(self.input_tokens, -(-self._heard // CHARS_PER_TOKEN))


def _written(rendered: Rendered) -> str:
    """The input as it is kept."""
    if rendered.messages is None:
        return rendered.text or ""
    messages = [{"role": m.role, "content": m.content} for m in rendered.messages]
    return _to_json(messages)


def without_texts(outcome: Outcome) -> Outcome:
    """The same with counts and times only.

    Errors may repeat what was sent; stop strings, and the name of a model that no node took, are texts as well.
    """
    return replace(
        outcome,
        session_id=None,
        model=outcome.model if outcome.node else None,
        variables={},
        parameters=replace(outcome.parameters, stop=()),
        input="",
        answer="",
        checks=replace(outcome.checks, reason=None),
        attempts=tuple(replace(attempt, error=None) for attempt in outcome.attempts),
        error=None,
    )
