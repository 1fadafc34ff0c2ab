"""`POST /api/v1/chat/completions`: the older form with one `input`, and OpenAI's messages."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from herding import values
from herding.api.http import examples
from herding.api.http.deps import Caller
from herding.api.http.disconnect import while_there
from herding.api.http.errors import problem_of
from herding.api.http.reply import reply
from herding.api.http.response_headers import headers
from herding.api.openai.completions import Completions
from herding.api.openai.prompt_models import AUTO, model_of
from herding.api.openai.requests import EitherChatBody
from herding.errors import HerdingError, NodeError, UserError
from herding.orchestrator import Orchestrator
from herding.values import Message, Principal


def router(orchestrator: Orchestrator) -> APIRouter:
    """The route of chats in the native API."""
    routes = APIRouter(prefix="/api/v1", tags=["run"])
    completions = Completions(orchestrator)

    @routes.post("/chat/completions", responses=examples.answers(examples.SEED_ANSWER))
    async def chat(body: EitherChatBody, request: Request, who: Caller) -> Response:
        """Answer one `input` with `success`, `msg` and `result`; or OpenAI's `messages` as `/v1` does.

        An `input` that finds no answer is told with `success` false, in an answer of status 200.
        """
        if body.input is None:
            return await completions.chat(body, request, who)
        return await _older(body.input, body, request, who)

    async def _older(text: str, body: EitherChatBody, request: Request, who: Principal) -> Response:
        try:
            model = model_of(body.model_name or AUTO, body.variables)
            wanted = values.Request(
                model=model,
                parameters=body.parameters(),
                messages=(Message("user", text),),
                session_id=body.session_id,
                response_format=body.form(),
            )
            outcome = await while_there(request.receive, orchestrator.pipeline.run(wanted, who))
        except (UserError, NodeError) as error:
            return reply({"success": False, "msg": f"worker execute error: {error.message}", "result": None})
        except HerdingError as error:
            problem = problem_of(error)
            return reply({"success": False, "msg": error.message, "result": None}, problem.status, problem.headers)
        return reply({"success": True, "msg": "execute succeed", "result": outcome.answer}, headers=headers(outcome))

    return routes
