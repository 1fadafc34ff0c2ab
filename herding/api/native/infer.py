"""NodeCall prompts: `infer`, the simple `run` for a link, and `cancel`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from herding import values
from herding.api.http import examples
from herding.api.http.deps import Caller
from herding.api.http.disconnect import while_there
from herding.api.http.origin import same_origin
from herding.api.http.reply import dump, reply
from herding.api.http.response_headers import Headers, headers, noted
from herding.api.http.sse import EventStreamResponse, event, events_of
from herding.api.middleware.cors import REFUSED, welcomes
from herding.api.native import responses
from herding.api.native.idempotency import MAX_KEY, Replies
from herding.api.native.requests import InferBody
from herding.errors import AccessError, UserError
from herding.orchestrator import Orchestrator
from herding.values import Delta, Done, Event, Outcome, Queued, Started

Show = Callable[[Outcome], responses.Json]
Answer = tuple[bytes, Headers]


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes that run prompts."""
    routes = APIRouter(prefix="/api/v1", tags=["run"])
    replies: Replies[Answer] = Replies(size=lambda answer: len(answer[0]))

    @routes.post("/infer", responses=examples.answers(examples.ANSWER, events=examples.EVENTS))
    async def infer(
        body: InferBody,
        request: Request,
        who: Caller,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=MAX_KEY)] = None,
    ) -> Response:
        """Run a prompt; with `stream`, as events `queued`, `start`, `delta`, `done` or `error`.

        Equal requests with one `Idempotency-Key` run once and get equal answers for 24 hours, as long as this process
        lives. A client that leaves ends its run.
        """
        wanted = body.request()
        show = responses.older_answer if body.older else responses.answer
        if body.stream:
            if idempotency_key:
                raise UserError("Idempotency-Key is for answers that do not stream. Leave one of them out.")
            told: Headers = {}
            stream = noted(orchestrator.pipeline.stream(wanted, who), told)
            return EventStreamResponse(events_of(stream, partial(_event, show=show)), later=told)

        async def run() -> Answer:
            outcome = await orchestrator.pipeline.run(wanted, who)
            return dump(show(outcome)), headers(outcome)

        digest = sha256(await request.body()).digest()
        work = replies.once((who.id, idempotency_key), digest, run) if idempotency_key else run()
        content, told = await while_there(request.receive, work)
        return Response(content, headers=told, media_type="application/json")

    @routes.get("/run/{prompt:path}", responses=examples.answers(examples.ANSWER), openapi_extra=examples.RUN)
    async def run(prompt: str, request: Request, who: Caller) -> Response:
        """Run a prompt with the variables in the query: `?name=Ada`.

        For links and scripts of this site, and for web pages of the origins that the prompt names under `cors`.
        """
        asked = dict(request.headers.raw)
        if not same_origin(asked) and not await welcomes(orchestrator, prompt, asked, who):
            raise AccessError(REFUSED)
        variables = {name: _one_or_all(request.query_params.getlist(name)) for name in request.query_params}
        wanted = values.Request(prompt, variables)
        outcome = await while_there(request.receive, orchestrator.pipeline.run(wanted, who))
        return reply(responses.answer(outcome), headers=headers(outcome))

    @routes.post(
        "/requests/{request_id}/cancel",
        responses=examples.answers({"request_id": examples.REQUEST_ID, "cancelled": True}),
    )
    async def cancel(request_id: str, who: Caller) -> Response:
        """Stop a running request; whoever waits for it gets the text so far, with finish reason `cancelled`."""
        await orchestrator.pipeline.cancel(request_id, who)
        return reply({"request_id": request_id, "cancelled": True})

    return routes


def _event(happened: Event, show: Show) -> bytes:
    match happened:
        case Delta(text):
            return event("delta", {"text": text})
        case Queued():
            return event("queued", asdict(happened))
        case Started():
            return event("start", asdict(happened))
        case Done(outcome):
            return event("done", show(outcome))


def _one_or_all(given: list[str]) -> Any:
    return given[0] if len(given) == 1 else given
