"""The OpenAI-compatible API under `/v1`, for unchanged official clients."""

from __future__ import annotations

import asyncio
import json
import time

import orjson
from fastapi import APIRouter, Request, Response

from herding.api.http.errors import Responses, error_responses
from herding.api.http.request import Caller, principal_of, until_disconnect
from herding.api.http.response import outcome_headers
from herding.api.http.sse import EVENT_SCHEMA
from herding.api.openai.completions import complete_chat, complete_text
from herding.api.openai.prompt_models import AUTO, PREFIX
from herding.api.openai.requests import ChatRequest, CompletionRequest, EmbeddingsRequest, RerankRequest
from herding.api.openai.responses import (
    ChatCompletion,
    EmbeddingList,
    EmbeddingUsage,
    Model,
    OpenAIModelList,
    RankedDocument,
    RankedList,
    RankedText,
    TextCompletion,
)
from herding.errors import LimitError, NoNodeError, NotFoundError, UserError
from herding.nodes.responses.openai_response import encode_vector
from herding.orchestrator import Orchestrator
from herding.values import Embeddings, Outcome, Principal

_NO_MODEL = NotFoundError("There is no model 'gpt-9'.", param="model")
_ERRORS = error_responses(
    _NO_MODEL,
    UserError("No node that serves herding/cria takes 'n'. Leave it out, or choose a model that does.", param="n"),
    LimitError("Limit reached: 500 of 500 requests in 1 day used. Try again in 1 minute.", retry_after=60),
    NoNodeError("No node serves herding/cria."),
    openai=True,
)
_CHUNKS: Responses = {
    200: {
        "content": {
            "text/event-stream": {
                "schema": EVENT_SCHEMA,
                "example": 'data: {"choices": [{"index": 0, "delta": {"content": "Hello"}}]}\n\ndata: [DONE]\n\n',
            }
        }
    }
}


_STARTED = int(time.time())
"""The time in Unix seconds since which this process knows its models."""


def router(orchestrator: Orchestrator) -> APIRouter:
    """Return the routes of the OpenAI-compatible API."""
    routes = APIRouter(prefix="/v1", tags=["openai"])

    @routes.post("/chat/completions", response_model=ChatCompletion, responses=_CHUNKS | _ERRORS)
    async def create_chat_completion(body: ChatRequest, request: Request) -> Response:
        """Answer a chat, or run the prompt that `model` names as `prompt:<key>`, with its `variables`.

        The last user message fills the last text variable that the prompt's last message uses. For a prompt that is a
        chat, the messages before it are the earlier turns. With a `session_id` and one new message, the session
        remembers the earlier turns.
        """
        return await complete_chat(orchestrator, body, request, principal_of(request))

    @routes.post("/completions", response_model=TextCompletion, responses=_CHUNKS | _ERRORS)
    async def create_completion(body: CompletionRequest, request: Request) -> Response:
        """Continue a raw text, or run the prompt that `model` names; the text fills its last text variable."""
        return await complete_text(orchestrator, body, request, principal_of(request))

    @routes.post("/embeddings", response_model=EmbeddingList, responses=_ERRORS)
    async def create_embeddings(body: EmbeddingsRequest, request: Request) -> Response:
        """Return a vector for each text. At most 2,048 texts and a million characters."""
        who = principal_of(request)
        inputs, parameters = body.to_inputs(), body.to_parameters()
        with until_disconnect(request.receive):
            outcome, made = await orchestrator.pipeline.embed(
                body.model, inputs, who, dimensions=body.dimensions, parameters=parameters
            )
        in_base64 = body.encoding_format == "base64"
        content = await asyncio.to_thread(_encode_embeddings, outcome, made, in_base64)  # may take megabytes
        return Response(content, headers=outcome_headers(outcome), media_type="application/json")

    @routes.post("/rerank", responses=_ERRORS, response_model_exclude_none=True)
    async def rerank_documents(body: RerankRequest, request: Request, response: Response) -> RankedList:
        """Sort documents by how well they answer a query. At most 2,048 documents and a million characters.

        A reranker reads the beginning of a document that is too long for it.
        """
        documents = body.to_documents()
        with until_disconnect(request.receive):
            outcome, made = await orchestrator.pipeline.rerank(body.model, body.query, documents, principal_of(request))
        response.headers.update(outcome_headers(outcome))
        best = sorted(enumerate(made.scores), key=lambda item: (-item[1], item[0]))[: body.top_n]
        tokens = outcome.usage.input_tokens
        return RankedList(
            id=outcome.request_id,
            model=outcome.model or body.model,
            results=[
                RankedDocument(
                    index=place,
                    relevance_score=score,
                    document=RankedText(text=documents[place]) if body.return_documents else None,
                )
                for place, score in best
            ],
            usage=EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens),
        )

    @routes.get("/models", responses=error_responses(openai=True))
    async def list_openai_models(who: Caller) -> OpenAIModelList:
        """List the models that nodes serve, with embedding models, rerankers, `auto`, and prompts as `prompt:<key>`."""
        return OpenAIModelList(data=await _list_models(orchestrator, who))

    @routes.get("/models/", include_in_schema=False)
    async def list_openai_models_too(who: Caller) -> OpenAIModelList:
        """List the models, for clients that add a slash."""
        return await list_openai_models(who)

    @routes.get("/models/{model:path}", responses=error_responses(_NO_MODEL, openai=True))
    async def get_openai_model(model: str, who: Caller) -> Model:
        """Return one of the models."""
        for found in await _list_models(orchestrator, who):
            if found.id == model:
                return found
        raise NotFoundError(f"There is no model '{model}'.", param="model")

    return routes


async def _list_models(orchestrator: Orchestrator, who: Principal) -> list[Model]:
    found = await orchestrator.nodes.models(who)
    prompts = dict.fromkeys(key for model in found for key in model.prompts)
    served = [(model.id, nodes[0]) for model in found if (nodes := model.nodes or model.embeds or model.reranks)]
    ids = [*served, (AUTO, "herding"), *((f"{PREFIX}{key}", "herding") for key in prompts)]
    return [Model(id=id, owned_by=owner, created=_STARTED) for id, owner in ids]


def _encode_embeddings(outcome: Outcome, made: Embeddings, in_base64: bool) -> bytes:
    """Return the response body; vectors are encoded one by one, so that other threads run in between."""
    tokens = outcome.usage.input_tokens
    rest = json.dumps({"model": outcome.model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
    vectors = (encode_vector(vector) if in_base64 else vector for vector in made.vectors)
    items = (
        orjson.dumps({"object": "embedding", "index": index, "embedding": vector})
        for index, vector in enumerate(vectors)
    )
    return b'{"object":"list","data":[' + b",".join(items) + b"]," + rest.encode().removeprefix(b"{")
