"""`POST /api/v1/chat/completions` with one `input`, as older clients send it, or with OpenAI's messages."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from herding import values
from herding.api.http.errors import Responses, error_responses, problem_of
from herding.api.http.models import ResponseModel
from herding.api.http.request import Caller, until_disconnect
from herding.api.http.response import json_response, outcome_headers
from herding.api.http.sse import EVENT_SCHEMA
from herding.api.openai.completions import complete_chat
from herding.api.openai.prompt_models import AUTO, model_of
from herding.api.openai.requests import LegacyChatRequest
from herding.api.openai.responses import ChatCompletion
from herding.errors import HerdingError, NodeError, UserError
from herding.orchestrator import Orchestrator
from herding.values import Message, Principal

_EVENTS: Responses = {200: {"content": {"text/event-stream": {"schema": EVENT_SCHEMA}}}}


class LegacyChatResponse(ResponseModel):
    """The response to an `input`. `result` is null without success."""

    success: bool
    msg: str
    result: str | None


def router(orchestrator: Orchestrator) -> APIRouter:
    """Return the route of chats in the native API."""
    routes = APIRouter(prefix="/api/v1", tags=["run"])

    @routes.post(
        "/chat/completions",
        response_model=LegacyChatResponse | ChatCompletion,
        responses=_EVENTS | error_responses(),
    )
    async def create_legacy_chat_completion(body: LegacyChatRequest, request: Request, who: Caller) -> Response:
        """Answer one `input` with `success`, `msg` and `result`, or OpenAI's `messages` like `/v1/chat/completions`.

        A failure to answer an `input` is `success` false in a response of status 200.
        """
        if body.input is None:
            return await complete_chat(orchestrator, body, request, who)
        return await _answer(body.input, body, request, who)

    async def _answer(text: str, body: LegacyChatRequest, request: Request, who: Principal) -> Response:
        try:
            run = values.Request(
                model=model_of(body.model_name or AUTO, body.variables),
                parameters=body.to_parameters(),
                messages=(Message("user", text),),
                session_id=body.session_id,
                response_format=body.to_response_format(),
            )
            with until_disconnect(request.receive):
                outcome = await orchestrator.pipeline.run(run, who)
        except (UserError, NodeError) as error:
            return json_response(_failure(f"worker execute error: {error.message}"))
        except HerdingError as error:
            problem = problem_of(error)
            return json_response(_failure(error.message), problem.status, problem.headers)
        answer = LegacyChatResponse(success=True, msg="execute succeed", result=outcome.answer)
        return json_response(answer, headers=outcome_headers(outcome))

    return routes


def _failure(message: str) -> LegacyChatResponse:
    return LegacyChatResponse(success=False, msg=message, result=None)
