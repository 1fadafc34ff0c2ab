"""The client of the engine's HTTP API (`herding.engine`)."""

from __future__ import annotations

import asyncio
import json
import sys
from array import array
from base64 import b64decode
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, Field, ValidationError

from herding.errors import (
    BadResponseError,
    ContextLengthError,
    LoadCancelledError,
    NodeError,
    StreamInterruptedError,
    UserError,
    status_error,
)
from herding.nodes import http
from herding.nodes.base import Deadlines
from herding.nodes.capabilities import BASIC
from herding.nodes.engine.status import not_an_engine, read_status
from herding.nodes.responses.sse import data_lines
from herding.values import (
    Call,
    Choice,
    Chunk,
    EmbeddingInput,
    Embeddings,
    Fields,
    LoadProgress,
    Message,
    NodeStatus,
    Ranking,
    Usage,
)

STATUS_TIMEOUT = 5.0

_DELETE_TIMEOUT = 60.0
"""Seconds; a disk may take a while for large files."""

_MAX_EMBEDDING_BYTES = 64 * 1024 * 1024
_Body = TypeVar("_Body", bound=BaseModel)


class EngineClient:
    """The client of one engine at `base_url`."""

    def __init__(
        self,
        base_url: str,
        secret: str,
        *,
        name: str,
        deadlines: Deadlines,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._name = name
        headers = {"Authorization": f"Bearer {secret}"}
        self._http = http.client(deadlines, transport=transport, base_url=base_url, headers=headers)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def status(self, *, offers: tuple[str, ...] = ()) -> NodeStatus:
        """Return the engine's status; raise NodeError if it is unavailable."""
        return read_status(await self._request("GET", "/status"), node=self._name, offers=offers)

    async def models(self) -> tuple[str, ...]:
        """Return the ids of the models that the engine can load."""
        listed = self._parse(_ModelsBody, await self._request("GET", "/models"))
        return tuple(model.id for model in listed.models)

    async def count(self, call: Call) -> tuple[int, int]:
        """Return the input tokens of `call` and the context length, both from the model's tokenizer."""
        counted = self._parse(_CountBody, await self._request("POST", "/count", body=_call_body(call)))
        return counted.input_tokens, counted.context_length

    async def generate(self, call: Call) -> AsyncGenerator[Chunk, None]:
        """Stream the response to `call`; closing the iterator stops the generation."""
        with http.node_errors(self._name):
            async with (
                self._http.stream("POST", "/generate", json=_call_body(call)) as response,
                aclosing(self._events(response)) as events,
            ):
                async for event in events:
                    yield _chunk(event)
                    if event["type"] == "done":
                        return
            raise StreamInterruptedError(f"Node '{self._name}' stopped before its response was complete.")

    async def embed(
        self, model: str, texts: Sequence[EmbeddingInput], *, dimensions: int | None, truncate: bool
    ) -> Embeddings:
        """Return a vector for each text; raise UserError for texts that the model can't embed."""
        body: dict[str, Any] = {"model": model, "inputs": list(texts), "truncate": truncate}
        if dimensions is not None:
            body["dimensions"] = dimensions
        found = self._parse(_EmbeddingsBody, await self._whole("/embed", body))
        vectors = await asyncio.to_thread(_vectors, found)
        if len(vectors) != len(texts):
            raise BadResponseError(f"Node '{self._name}' sent {len(vectors):,} embeddings for {len(texts):,} texts.")
        return Embeddings(vectors, found.input_tokens, "node")

    async def rerank(self, model: str, query: str, documents: Sequence[str]) -> Ranking:
        """Return a score from 0 to 1 for each document; raise UserError for what the model can't read."""
        body = {"model": model, "query": query, "documents": list(documents)}
        found = self._parse(_RankingBody, await self._whole("/rerank", body))
        if len(found.scores) != len(documents):
            message = f"Node '{self._name}' sent {len(found.scores):,} scores for {len(documents):,} documents."
            raise BadResponseError(message)
        return Ranking(tuple(found.scores), found.input_tokens, "node")

    async def load(
        self, model: str, *, from_hub: bool = False, path: str | None = None
    ) -> AsyncGenerator[LoadProgress, None]:
        """Load `model` and stream progress; after a NodeError the loaded models keep serving.

        With `from_hub`, it may be a model of the hub that the engine does not offer; with a `path`, it is the one in
        that directory or file of the engine's machine. Raises NodeBusyError while there is no room because of running
        requests.
        """
        body: dict[str, Any] = {"model": model} | ({"from_hub": True} if from_hub else {})
        body |= {} if path is None else {"path": path}
        with http.node_errors(self._name):
            async with (
                self._http.stream("POST", "/load", json=body, timeout=None) as response,
                aclosing(self._events(response)) as events,
            ):
                async for event in events:
                    done = event["type"] == "done"
                    yield LoadProgress(1.0 if done else event.get("fraction"), event.get("stage", ""), done=done)
                    if done:
                        return
            raise StreamInterruptedError(f"Node '{self._name}' died while loading {model}.")

    async def unload(self, model: str) -> None:
        """Free the memory of `model`, or cancel its load; raise NodeBusyError while requests use it."""
        await self._request("POST", "/unload", body={"model": model})

    async def remove(self, model: str) -> None:
        """Take a model that was added from the engine's list; raise NodeBusyError while requests use it."""
        await self._request("POST", "/remove", body={"model": model})

    async def delete(self, model: str) -> int:
        """Delete the files of a model that is not loaded, and return their bytes."""
        body = {"model": model}
        return self._parse(
            _DeletedBody, await self._request("POST", "/delete", body=body, seconds=_DELETE_TIMEOUT)
        ).bytes

    async def _request(
        self, method: str, path: str, *, body: dict[str, Any] | None = None, seconds: float | None = None
    ) -> dict[str, Any]:
        """Return the JSON object of a short response."""
        with http.node_errors(self._name):
            async with (
                http.within(seconds or STATUS_TIMEOUT, node=self._name),
                self._http.stream(method, path, json=body, timeout=seconds or STATUS_TIMEOUT) as response,
            ):
                await self._check_status(response)
                return self._object((await http.small_body(response)).decode(errors="replace"))

    async def _whole(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON object of a response that takes its time and may be long."""
        with http.node_errors(self._name):
            async with self._http.stream("POST", path, json=body, timeout=None) as response:
                await self._check_status(response)
                content = bytearray()
                async for piece in response.aiter_raw():
                    content += piece
                    if len(content) > _MAX_EMBEDDING_BYTES:
                        raise BadResponseError(f"Node '{self._name}' sent too many bytes in response to {path}.")
        return self._object(content.decode(errors="replace"))

    async def _events(self, response: httpx.Response) -> AsyncGenerator[dict[str, Any], None]:
        await self._check_status(response)
        async with aclosing(data_lines(response.aiter_raw())) as lines:
            async for batch in lines:
                for data in batch:
                    event = self._object(data)
                    if event.get("type") == "error":
                        raise _reported(event, self._name)
                    yield event

    async def _check_status(self, response: httpx.Response) -> None:
        """Raise the error of a response without success: a UserError if the engine rejects the input."""
        status = response.status_code
        if status == 200:
            return
        if status not in (409, 413, 422):
            raise await http.status_error(response, self._name)
        error = self._object((await http.small_body(response)).decode(errors="replace")).get("error") or {}
        message = error.get("message", f"HTTP {status}")
        if error.get("type") == "context_length":
            raise ContextLengthError(message)
        if status == 409:
            raise (
                _busy(message, self._name)
                if error.get("type") == "busy"
                else status_error(message, status=status, node=self._name)
            )
        raise UserError(message, param=error.get("param"))

    def _object(self, data: str) -> dict[str, Any]:
        try:
            value = json.loads(data)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise not_an_engine(self._name)
        return value

    def _parse(self, kind: type[_Body], data: dict[str, Any]) -> _Body:
        try:
            return kind.model_validate(data, strict=True)
        except ValidationError:
            raise not_an_engine(self._name) from None


class _ModelBody(BaseModel):
    id: str


class _ModelsBody(BaseModel):
    models: list[_ModelBody]


class _DeletedBody(BaseModel):
    bytes: int


class _CountBody(BaseModel):
    input_tokens: int
    context_length: int


class _EmbeddingsBody(BaseModel):
    vectors: str
    dimensions: int = Field(ge=1)
    input_tokens: int


class _RankingBody(BaseModel):
    scores: list[float]
    input_tokens: int


def _vectors(body: _EmbeddingsBody) -> tuple[tuple[float, ...], ...]:
    """Return the vectors of a response of the engine, which are little-endian 32-bit floats as base64."""
    numbers = array("f", b64decode(body.vectors))
    if sys.byteorder == "big":
        numbers.byteswap()
    size = body.dimensions
    return tuple(tuple(numbers[start : start + size]) for start in range(0, len(numbers), size))


def _reported(event: dict[str, Any], node: str) -> NodeError:
    """Return the error in the last event of a stream."""
    reason = str(event.get("message", "No reason given."))
    if event.get("error_type") == "busy":
        return _busy(reason, node)
    if event.get("error_type") == LoadCancelledError.type:
        return LoadCancelledError(reason, node=node)
    if str(event.get("error_type")) in _LOAD_ERRORS:
        return NodeError(reason, node=node)
    return NodeError(f"Node '{node}' failed: {reason}", node=node)


_LOAD_ERRORS = ("load_failed", "unsafe_model", "no_memory")


def _busy(message: str, node: str) -> NodeError:
    return status_error(message, status=503, node=node, retry_after=1.0)


def _call_body(call: Call) -> dict[str, Any]:
    """Return a call in the engine's JSON form without unset fields. Raises UserError for a forced tool call."""
    given, more = call.parameters.given(), call.parameters.more
    parameters = {name: value for name, value in given.items() if name in BASIC}
    body: dict[str, Any] = {"id": call.id, "model": call.model, "parameters": parameters}
    if call.messages is None:
        (prompt,) = call.prompts or (call.text,)
        body |= {"text": prompt} if isinstance(prompt, str) else {"tokens": list(prompt)}
    else:
        body["messages"] = [_message_body(message) for message in call.messages]
        body |= _tools(more)
    if more.get("return_token_ids"):
        body["token_ids"] = True
    if more.get("chat_template_kwargs"):
        body["template_arguments"] = dict(more["chat_template_kwargs"])
    return body


def _message_body(message: Message) -> dict[str, Any]:
    given = {name: message.fields[name] for name in ("tool_calls", "tool_call_id") if message.fields.get(name)}
    return {**message.text_body(), **given}


def _tools(more: Fields) -> dict[str, Any]:
    if "functions" in more or "function_call" in more:
        raise UserError("The engine takes 'tools' instead of 'functions'.", param="functions")
    choice = more.get("tool_choice", "auto")
    if choice == "none" or not more.get("tools"):
        return {}
    if choice != "auto":
        message = "The engine can't force a tool call. Leave out 'tool_choice', or set it to 'auto' or 'none'."
        raise UserError(message, param="tool_choice")
    return {"tools": list(more["tools"])}


def _chunk(event: dict[str, Any]) -> Chunk:
    usage, calls, ids = event.get("usage"), event.get("tool_calls"), event.get("token_ids")
    text, deltas = event.get("text", ""), tuple[Choice, ...]()
    if calls or ids:
        fields, extra = {"tool_calls": calls} if calls else {}, {"token_ids": ids} if ids else {}
        text, deltas = "", (Choice(0, text, "", fields, extra),)
    prompt = event.get("prompt_token_ids")
    return Chunk(
        text=text,
        finish_reason=event.get("finish_reason"),
        usage=Usage(usage["input_tokens"], usage["output_tokens"], "node") if usage else None,
        deltas=deltas,
        extra={"prompt_token_ids": prompt} if prompt else {},
    )
