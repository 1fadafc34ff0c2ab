"""Run a prompt, by a POST or by a link, and cancel a running request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel, ConfigDict, FailFast, Field, StrictBool, model_validator
from pydantic.json_schema import SkipJsonSchema

from herding import values
from herding.api.http.errors import Responses, error_responses
from herding.api.http.models import RequestModel, ResponseModel
from herding.api.http.origins import OTHER_ORIGIN
from herding.api.http.request import Caller, principal_of, same_origin, until_disconnect
from herding.api.http.response import Headers, json_response, outcome_headers, to_json
from herding.api.http.sse import EVENT_SCHEMA, encode_event, event_stream
from herding.api.middleware.prompt_links import page_may_run
from herding.api.native.idempotency import MAX_KEY, IdempotencyCache
from herding.api.openai.prompt_models import AUTO
from herding.errors import AccessError, LimitError, NoNodeError, NotFoundError, UserError
from herding.orchestrator import Orchestrator
from herding.prompts.parameters import PromptParameters
from herding.values import (
    Attempt,
    CheckResult,
    Choice,
    Considered,
    Delta,
    Done,
    Event,
    FilterResult,
    FinishReason,
    Message,
    Outcome,
    Queued,
    Reference,
    Started,
    StepChanged,
    StepRun,
    Timings,
    Usage,
)

MAX_TURNS = 1000
MAX_VARIABLES = 1000

_EVENTS = (
    'event: start\ndata: {"request_id": "0b9c...", "model": "herding/cria", "node": "local", "reason": "..."}\n\n'
    'event: delta\ndata: {"text": "Hello"}\n\nevent: done\ndata: {"request_id": "0b9c...", "text": "Hello"}\n\n'
)
_NO_PARAMETERS = PromptParameters()
_NO_PROMPT = NotFoundError("There is no prompt 'greetings'.", param="prompt")
_ERRORS = error_responses(
    _NO_PROMPT,
    UserError("'name' has at most 60 characters.", param="variables.name"),
    LimitError("Limit reached: 500 of 500 requests in 1 day used. Try again in 1 minute.", retry_after=60),
    NoNodeError("No node serves herding/cria."),
)


class Turn(RequestModel):
    """An earlier message of a chat."""

    role: Literal["user", "assistant"]
    content: str


class RunPromptRequest(RequestModel):
    """A run of a prompt. Older clients send `prompt_key` and `raw_inputs` instead of `prompt` and `variables`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "prompt": "entity_recognition",
                    "variables": {"categories": "[person, food]", "text": "Hanna likes sushi."},
                    "parameters": {"max_tokens": 100},
                }
            ]
        }
    )

    prompt: str = Field(
        default="",
        description="`key` (its label prod, else the newest), `key@<version>`, `key@<label>` or `key@newest`",
    )
    variables: dict[str, Any] = Field(default_factory=dict, max_length=MAX_VARIABLES)
    model: str | None = Field(
        default=None, description="null or `auto`: the routing chooses among the prompt's target models"
    )
    parameters: PromptParameters = Field(default_factory=lambda: _NO_PARAMETERS)
    session_id: str | None = Field(default=None, description="of a chat: its earlier turns are remembered under it")
    turns: Annotated[list[Turn], FailFast()] = Field(
        default_factory=list,
        max_length=MAX_TURNS,
        description="earlier turns of a chat, oldest first, instead of the remembered ones",
    )
    collection: str | None = Field(
        default=None, max_length=64, description="searched instead of the one that the prompt retrieves from"
    )
    stream: StrictBool = False
    prompt_key: SkipJsonSchema[str | None] = None
    raw_inputs: SkipJsonSchema[dict[str, Any] | None] = Field(default=None, max_length=MAX_VARIABLES)

    @model_validator(mode="after")
    def _check_form(self) -> RunPromptRequest:
        if bool(self.prompt) == bool(self.prompt_key):
            raise ValueError("name a prompt under `prompt`")
        if self.raw_inputs is not None and self.variables:
            raise ValueError("give either `variables` or `raw_inputs`")
        return self

    def to_request(self) -> values.Request:
        """Return the request for the orchestrator."""
        return values.Request(
            prompt=self.prompt or self.prompt_key or "",
            variables=self.variables if self.raw_inputs is None else self.raw_inputs,
            model=None if self.model == AUTO else self.model,
            parameters=self.parameters.value,
            turns=tuple(Message(turn.role, turn.content) for turn in self.turns) or None,
            session_id=self.session_id,
            collection=self.collection,
        )


class RoutingDecision(ResponseModel):
    """The reason for the node that answered, the other candidates, and the attempts on each node."""

    policy: str | None
    reason: str | None
    candidates: tuple[Considered, ...] | None
    attempts: tuple[Attempt, ...]

    @classmethod
    def from_outcome(cls, outcome: Outcome) -> RoutingDecision:
        """Return how a request was routed."""
        return cls(
            policy=outcome.policy,
            reason=outcome.reason,
            candidates=outcome.candidates or None,
            attempts=outcome.attempts,
        )


class ResponseChoice(ResponseModel):
    """One choice of a response, with the fields of its message as the node sent them."""

    index: int
    text: str
    reasoning: str
    fields: dict[str, Any]
    extra: dict[str, Any]
    finish_reason: str | None


class RunPromptResponse(ResponseModel):
    """A finished run. Times are in milliseconds.

    `text` is the answer without its `reasoning`. `note` says why there is no text. `choices` are all choices of a
    response that has more than one text. `ignored_parameters` are those that the node does not take. `references` are
    the chunks of documents that filled a variable, null for a prompt without retrieval. `steps` are those of a chain,
    null for other prompts. `filters` tell what the response filters of the prompt did.
    """

    request_id: str
    text: str
    prompt: str
    version: int
    variant: str | None
    model: str | None
    node: str | None
    finish_reason: FinishReason | None
    usage: Usage
    timings: Timings
    checks: CheckResult
    routing: RoutingDecision
    cost: float | None = Field(description="US dollars; null: unknown")
    reasoning: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    refusal: str | None = None
    note: str | None = None
    choices: list[ResponseChoice] | None = None
    ignored_parameters: tuple[str, ...] = ()
    references: tuple[Reference, ...] | None = None
    filters: tuple[FilterResult, ...] = ()
    steps: tuple[StepRun, ...] | None = None

    @classmethod
    def from_outcome(cls, outcome: Outcome) -> RunPromptResponse:
        """Return the response to a run that ended with `outcome`."""
        return cls(
            request_id=outcome.request_id,
            text=outcome.answer,
            prompt=outcome.prompt,
            version=outcome.version,
            variant=outcome.variant,
            model=outcome.model,
            node=outcome.node,
            finish_reason=outcome.finish_reason,
            usage=outcome.usage,
            timings=round_timings(outcome.timings),
            checks=outcome.checks,
            routing=RoutingDecision.from_outcome(outcome),
            cost=outcome.dollars,
            reasoning=outcome.reasoning or None,
            refusal=outcome.refusal or None,
            note=outcome.note,
            tool_calls=[dict(call) for call in outcome.tool_calls] or None,
            choices=[ResponseChoice.model_validate(choice) for choice in outcome.choices] or None,
            ignored_parameters=outcome.ignored,
            references=outcome.references,
            filters=outcome.filters,
            steps=outcome.steps,
        )


class LegacyRunResponse(ResponseModel):
    """A finished run, as older clients expect it."""

    text: str
    inference_id: str
    model: str | None

    @classmethod
    def from_outcome(cls, outcome: Outcome) -> LegacyRunResponse:
        """Return the response to a run that ended with `outcome`."""
        return cls(text=outcome.answer, inference_id=outcome.request_id, model=outcome.model)


class CancelResponse(ResponseModel):
    """A request that was stopped."""

    request_id: str
    cancelled: bool = True


def round_timings(timings: Timings) -> Timings:
    """Return times in milliseconds with three decimals."""
    first = timings.first_token_ms
    return Timings(
        queued_ms=round(timings.queued_ms, 3),
        first_token_ms=None if first is None else round(first, 3),
        total_ms=round(timings.total_ms, 3),
    )


def router(orchestrator: Orchestrator) -> APIRouter:
    """Return the routes that run prompts."""
    routes = APIRouter(prefix="/api/v1", tags=["run"])
    cache: IdempotencyCache[tuple[bytes, Headers]] = IdempotencyCache(size=lambda response: len(response[0]))

    @routes.post("/infer", response_model=RunPromptResponse, responses=_with_events(_EVENTS) | _ERRORS)
    async def run_prompt(
        body: RunPromptRequest,
        request: Request,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=MAX_KEY)] = None,
    ) -> Response:
        """Run a prompt. With `stream`, send the events `queued`, `start`, `delta`, and `done` or `error`.

        A chain sends a `step` for each change of one of its steps, too.

        Requests with the same `Idempotency-Key` and body run once and get the same response for 24 hours, until this
        process restarts. A client that disconnects ends its run.
        """
        run, who = body.to_request(), principal_of(request)
        to_body = RunPromptResponse.from_outcome if body.prompt_key is None else LegacyRunResponse.from_outcome
        if not body.stream and idempotency_key is None:
            with until_disconnect(request.receive):
                outcome = await orchestrator.pipeline.run(run, who)
            return json_response(to_body(outcome), headers=outcome_headers(outcome))
        if not body.stream:

            async def run_once() -> tuple[bytes, Headers]:
                outcome = await orchestrator.pipeline.run(run, who)
                return to_json(to_body(outcome)), outcome_headers(outcome)

            digest = sha256(await request.body()).digest()
            with until_disconnect(request.receive):
                content, headers = await cache.run((who.id, idempotency_key or ""), digest, run_once)
            return Response(content, headers=headers, media_type="application/json")
        if idempotency_key is not None:
            raise UserError("Streams take no Idempotency-Key. Leave out one of them.")
        encode = partial(_encode, to_body=to_body)
        return await event_stream(request, orchestrator.pipeline.stream(run, who), encode)

    @routes.get(
        "/run/{prompt:path}", response_model=RunPromptResponse, responses=_ERRORS, openapi_extra=_QUERY_OF_VARIABLES
    )
    async def run_prompt_by_link(prompt: str, request: Request, who: Caller) -> Response:
        """Run a prompt with the variables in the query, such as `?name=Ada`.

        For links and scripts of this site, and for web pages of the origins that the prompt lists under `cors`.
        A prompt with an `alias` is also at that path: `GET /error?error=123`.
        """
        headers = dict(request.headers.raw)
        if not same_origin(headers) and not await page_may_run(orchestrator, prompt, headers, who):
            raise AccessError(OTHER_ORIGIN)
        variables = {name: _one_or_all(request.query_params.getlist(name)) for name in request.query_params}
        run = values.Request(prompt, variables)
        with until_disconnect(request.receive):
            outcome = await orchestrator.pipeline.run(run, who)
        return json_response(RunPromptResponse.from_outcome(outcome), headers=outcome_headers(outcome))

    @routes.post(
        "/requests/{request_id}/cancel",
        responses=error_responses(NotFoundError("This request is not running.", param="request_id")),
    )
    async def cancel_request(request_id: str, who: Caller) -> CancelResponse:
        """Stop a running request. Its caller gets the text so far, with the finish reason `cancelled`."""
        await orchestrator.pipeline.cancel(request_id, who)
        return CancelResponse(request_id=request_id)

    return routes


def _with_events(example: str) -> Responses:
    return {200: {"content": {"text/event-stream": {"schema": EVENT_SCHEMA, "example": example}}}}


_QUERY_OF_VARIABLES: dict[str, Any] = {
    "parameters": [
        {
            "name": "variables",
            "in": "query",
            "description": "each variable of the prompt by its name: `?name=Ada`; the others have their defaults",
            "style": "form",
            "explode": True,
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
            "example": {"name": "Ada"},
        }
    ]
}


def _encode(event: Event, to_body: Callable[[Outcome], BaseModel]) -> bytes:
    match event:
        case Delta(text, ()):
            return encode_event({"text": text}, "delta")
        case Delta(text, choices):
            return encode_event(_delta(text, event.reasoning, choices), "delta")
        case Queued():
            return encode_event(asdict(event), "queued")
        case Started():
            return encode_event(asdict(event), "start")
        case StepChanged():
            return encode_event(asdict(event), "step")
        case Done(outcome):
            return encode_event(to_body(outcome).model_dump(), "done")


def _delta(text: str, reasoning: str, choices: Sequence[Choice]) -> dict[str, Any]:
    """Return a delta with more than text: reasoning, and each choice with the fields that the node sent."""
    given = [{name: value for name, value in asdict(choice).items() if value or name == "index"} for choice in choices]
    return {"text": text} | ({"reasoning": reasoning} if reasoning else {}) | {"choices": given}


def _one_or_all(given: list[str]) -> Any:
    return given[0] if len(given) == 1 else given
