"""The client side of the engine's HTTP interface (`herding.engine`)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx

from herding.errors import (
    BadResponseError,
    ContextLengthError,
    NodeError,
    StreamInterruptedError,
    UserError,
    status_error,
)
from herding.nodes import http
from herding.nodes.base import Deadlines
from herding.nodes.engine_status import read_status
from herding.nodes.sse import data_lines
from herding.values import Call, Chunk, LoadProgress, NodeStatus, Usage

STATUS_TIMEOUT = 5.0


class EngineClient:
    """Talks to one engine at `base_url` with its shared secret."""

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
        await self._http.aclose()

    async def status(self, *, offers: tuple[str, ...] = ()) -> NodeStatus:
        """What the engine says of itself; NodeError if it does not answer."""
        return read_status(await self._get("/status"), node=self._name, offers=offers)

    async def models(self) -> tuple[str, ...]:
        """Ids of the models that the engine may load."""
        found = tuple(entry["id"] for entry in (await self._get("/models"))["models"])
        if not all(isinstance(model, str) for model in found):
            raise TypeError("the id of a model is a text")
        return found

    async def count(self, call: Call) -> tuple[int, int]:
        """Input tokens of `call` and the context length, both from the engine's own tokenizer."""
        with http.node_errors(self._name):
            async with (
                http.within(STATUS_TIMEOUT, node=self._name),
                self._http.stream("POST", "/count", json=_body(call), timeout=STATUS_TIMEOUT) as response,
            ):
                data = await self._told(response)
        tokens, context = data["input_tokens"], data["context_length"]
        if type(tokens) is not int or type(context) is not int:
            raise TypeError("counts are whole numbers")
        return tokens, context

    async def generate(self, call: Call) -> AsyncGenerator[Chunk, None]:
        """The answer to `call`; closing the iterator stops the generation."""
        with http.node_errors(self._name):
            async with self._http.stream("POST", "/generate", json=_body(call)) as response:
                if response.status_code != 200:
                    raise await self._refusal(response)
                async with aclosing(self._events(response)) as events:
                    async for event in events:
                        yield _chunk(event)
                        if event["type"] == "done":
                            return
            raise StreamInterruptedError(f"Node '{self._name}' stopped in the middle of its answer.")

    async def load(self, model: str) -> AsyncIterator[LoadProgress]:
        """Switch the engine to `model`; a NodeError means that the old model is back."""
        with http.node_errors(self._name):
            async with self._http.stream("POST", "/load", json={"model": model}, timeout=None) as response:
                if response.status_code != 200:
                    raise await self._refusal(response)
                async for event in self._events(response):
                    done = event["type"] == "done"
                    yield LoadProgress(1.0 if done else event.get("fraction"), event.get("stage", ""), done=done)
                    if done:
                        return
            raise StreamInterruptedError(f"Node '{self._name}' died while it loaded {model}.")

    async def _get(self, path: str) -> dict[str, Any]:
        with http.node_errors(self._name):
            async with (
                http.within(STATUS_TIMEOUT, node=self._name),
                self._http.stream("GET", path, timeout=STATUS_TIMEOUT) as response,
            ):
                return await self._told(response)

    async def _told(self, response: httpx.Response) -> dict[str, Any]:
        if response.status_code != 200:
            raise await self._refusal(response)
        return _object((await http.small_body(response)).decode(errors="replace"), self._name)

    async def _events(self, response: httpx.Response) -> AsyncGenerator[dict[str, Any], None]:
        async with aclosing(data_lines(response.aiter_raw())) as lines:
            async for events in lines:
                for data in events:
                    event = _object(data, self._name)
                    if event.get("type") == "error":
                        said = event.get("message", "no reason given")
                        raise NodeError(f"Node '{self._name}' failed: {said}", node=self._name)
                    yield event

    async def _refusal(self, response: httpx.Response) -> UserError | NodeError:
        """The error of a refused request: the caller's where the engine blames the input."""
        status = response.status_code
        if status not in (409, 413, 422):
            return await http.status_error(response, self._name)
        error = _object((await http.small_body(response)).decode(errors="replace"), self._name).get("error") or {}
        message, kind = error.get("message", f"HTTP {status}"), error.get("type")
        if kind == "context_length":
            return ContextLengthError(message)
        if status == 409:
            return status_error(message, status=status, node=self._name)
        return UserError(message, param=error.get("param"))


def _body(call: Call) -> dict[str, Any]:
    """The engine's form of a call; what is not set is left out."""
    body: dict[str, Any] = {"id": call.id, "model": call.model, "parameters": call.parameters.given()}
    if call.messages is None:
        return {**body, "text": call.text}
    return {**body, "messages": [{"role": m.role, "content": m.content} for m in call.messages]}


def _chunk(event: dict[str, Any]) -> Chunk:
    usage = event.get("usage")
    return Chunk(
        text=event.get("text", ""),
        finish_reason=event.get("finish_reason"),
        usage=Usage(usage["input_tokens"], usage["output_tokens"], "node") if usage else None,
    )


def _object(data: str, node: str) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise BadResponseError(f"Node '{node}' sent something that is not the engine's protocol.", node=node)
    return event
