"""A model server that has all of OpenAI's chat, completion and embedding API, always answers the same, and remembers
what it was asked.

It calls the tools whose names the user mentions, says what it sees in pictures, sounds and files, and refuses what
OpenAI refuses, so that whatever is dropped or changed on the way to it changes its answer. Models with `reasoner` in
their name think first.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.fakenode import serving
from tests.support.upstream import chats, completions
from tests.support.upstream.conversation import Refused

CHAT, REASONER, EMBEDDER = "fake-chat", "fake-reasoner", "fake-embedder"
MODELS = (CHAT, REASONER, EMBEDDER)


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


class Upstream:
    """The server's application. `url` ends with `/v1`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.url = ""
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/completions", self._completion, methods=["POST"]),
                Route("/v1/embeddings", self._embeddings, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/v1/models/{id}", self._model),
            ]
        )

    @property
    def last(self) -> Asked:
        """The latest request."""
        return self.asked[-1]

    async def _chat(self, request: Request) -> Response:
        return await self._generated(request, chats.completion, chats.chunks)

    async def _completion(self, request: Request) -> Response:
        return await self._generated(request, completions.completion, completions.chunks)

    async def _generated(
        self,
        request: Request,
        whole: Callable[[Mapping[str, Any], int], dict[str, Any]],
        chunks: Callable[..., Iterator[dict[str, Any]]],
    ) -> Response:
        body = await self._body(request)
        try:
            _check_model(body)
            response = whole(body, len(self.asked))
        except Refused as refused:
            return _error(refused)
        if not body.get("stream"):
            return JSONResponse(response)
        include_usage = (body.get("stream_options") or {}).get("include_usage", False)
        return StreamingResponse(_events(chunks(response, include_usage=include_usage)), media_type="text/event-stream")

    async def _embeddings(self, request: Request) -> Response:
        body = await self._body(request)
        try:
            _check_model(body)
            return JSONResponse(completions.embeddings(body))
        except Refused as refused:
            return _error(refused)

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model(name) for name in MODELS]})

    async def _model(self, request: Request) -> Response:
        return JSONResponse(_model(request.path_params["id"]))

    async def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.asked.append(Asked(request.url.path, dict(request.headers), body))
        return body


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": chats.CREATED, "owned_by": "tests"}


def _check_model(body: Mapping[str, Any]) -> None:
    if body.get("model") not in MODELS:
        message = f"The model `{body.get('model')}` does not exist or you do not have access to it."
        raise Refused(message, code="model_not_found", status=404)


def _error(refused: Refused) -> Response:
    error = {"message": refused.message, "type": "invalid_request_error", "param": refused.param, "code": refused.code}
    return JSONResponse({"error": error}, refused.status)


async def _events(chunks: Iterator[Mapping[str, Any]]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()
        await asyncio.sleep(0)  # each chunk is written by itself
    yield b"data: [DONE]\n\n"


@contextmanager
def upstream() -> Iterator[Upstream]:
    """A running server."""
    server = Upstream()
    with serving(server.app) as url:
        server.url = f"{url}/v1"
        yield server
