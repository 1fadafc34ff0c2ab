"""The OpenAI-compatible API under `/v1`: official clients work unchanged."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from herding.api.http import examples
from herding.api.http.deps import Caller
from herding.api.http.disconnect import while_there
from herding.api.http.reply import reply
from herding.api.openai.completions import Completions
from herding.api.openai.embeddings import embedded
from herding.api.openai.prompt_models import AUTO, PREFIX
from herding.api.openai.requests import ChatBody, CompletionBody, EmbeddingsBody
from herding.errors import NotFoundError
from herding.orchestrator import Orchestrator
from herding.values import Principal


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes of the OpenAI-compatible API."""
    routes = APIRouter(prefix="/v1", tags=["openai"])
    completions = Completions(orchestrator)

    @routes.post("/chat/completions", responses=_answers(examples.CHAT_ANSWER))
    async def chat(body: ChatBody, request: Request, who: Caller) -> Response:
        """Answer a chat, or run the prompt that `model` names as `prompt:<key>`, with its `variables`.

        The last user message fills the last text variable that the prompt's last message uses; for a prompt that is a
        chat, the messages before it are the earlier turns. With a `session_id` and one new message only, they are those
        that the session remembers.
        """
        return await completions.chat(body, request, who)

    @routes.post("/completions", responses=_answers(examples.COMPLETION_ANSWER))
    async def completion(body: CompletionBody, request: Request, who: Caller) -> Response:
        """Continue a raw text, or run the prompt that `model` names; the text fills its last text variable."""
        return await completions.text(body, request, who)

    @routes.post("/embeddings", responses=_answers(examples.EMBEDDINGS_ANSWER))
    async def embeddings(body: EmbeddingsBody, request: Request, who: Caller) -> Response:
        """A vector for each text: 2,048 texts and a million characters at most."""
        work = orchestrator.pipeline.embed(body.model, body.texts(), who, dimensions=body.dimensions)
        outcome, made = await while_there(request.receive, work)
        return await embedded(outcome, made, packed=body.encoding_format == "base64")

    @routes.get("/models", responses=_answers({"object": "list", "data": [examples.OPENAI_MODEL]}))
    async def all_models(who: Caller) -> Response:
        """The models that are served now, also those for embeddings, `auto`, and the prompts as `prompt:<key>`."""
        return reply({"object": "list", "data": await _listed(orchestrator, who)})

    @routes.get("/models/{model:path}", responses=_answers(examples.OPENAI_MODEL))
    async def one_model(model: str, who: Caller) -> Response:
        """One of the models."""
        for listed in await _listed(orchestrator, who):
            if listed["id"] == model:
                return reply(listed)
        raise NotFoundError(f"There is no model '{model}'.", param="model")

    return routes


async def _listed(orchestrator: Orchestrator, who: Principal) -> list[dict[str, object]]:
    found = await orchestrator.nodes.models(who)
    prompts = dict.fromkeys(key for model in found for key in model.prompts)
    served = [(model.id, by[0]) for model in found if (by := model.nodes or model.embeds)]
    ids = [*served, (AUTO, "herding"), *((f"{PREFIX}{key}", "herding") for key in prompts)]
    return [{"id": id, "object": "model", "created": 0, "owned_by": owner} for id, owner in ids]


def _answers(example: examples.Json) -> dict[int | str, examples.Json]:
    return examples.answers(example, error=examples.OPENAI_ERROR)
