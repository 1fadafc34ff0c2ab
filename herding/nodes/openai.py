"""Nodes that speak the OpenAI protocol: hosted routers, vLLM, Ollama, llama.cpp, another Herding."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import Field, field_validator

from herding.errors import BadResponseError, ContextLengthError, CutStreamError, NodeError, StatusError
from herding.files import Strict
from herding.nodes import http
from herding.nodes.base import Deadlines, Node
from herding.nodes.sse import data_lines
from herding.values import Call, Chunk, FinishReason, NodeStatus, Usage

PROBE_EVERY = 10.0
PROBE_TIMEOUT = 3.0
MAX_TOKENS = 10**9


class OpenAIConfig(Strict):
    """An OpenAI-compatible server in the nodes file.

    `api_key_env` names the environment variable that holds the key; with `required`, the node is off without it.
    `models` are the ids that requests may be sent for.
    """

    kind: Literal["openai"]
    name: str
    base_url: str = Field(pattern=r"^https?://[^\s@]+$")
    models: list[str] = Field(min_length=1)
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    required: bool = True
    context_length: int | None = Field(default=None, ge=1)
    deadlines: Deadlines = Deadlines()

    @field_validator("base_url")
    @classmethod
    def _url_is_whole(cls, url: str) -> str:
        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0:  # a port out of range is a ValueError of its own
            raise ValueError("this URL names no host and port")
        httpx.URL(url)
        return url


class OpenAINode(Node):
    """Sends messages to `/chat/completions` and raw text to `/completions`, and reads their streams."""

    kind: ClassVar[str] = "openai"

    def __init__(
        self,
        config: OpenAIConfig,
        *,
        secret: Callable[[str], str | None],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(config.name, models=config.models, deadlines=config.deadlines)
        self._config = config
        key = secret(config.api_key_env) if config.api_key_env else None
        self._key = key if key and key.isascii() and key.isprintable() else None  # no header carries another
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        base = config.base_url.rstrip("/")
        self._http = http.client(config.deadlines, transport=transport, base_url=base, headers=headers)
        self._probed = (-PROBE_EVERY, "")

    @property
    def serves(self) -> tuple[str, ...]:
        return () if self._missing_key else self.models

    @property
    def _missing_key(self) -> bool:
        return bool(self._config.api_key_env and self._config.required and not self._key)

    async def close(self) -> None:
        await self._http.aclose()

    async def status(self) -> NodeStatus:
        if self._missing_key:
            return NodeStatus("off", detail=f"Set {self._config.api_key_env} to a valid key to switch this node on.")
        if trouble := await self._probe():
            return NodeStatus("down", serves=self.serves, detail=trouble)
        return NodeStatus("ready", serves=self.serves, context_length=self._config.context_length)

    async def _probe(self) -> str:
        """What hinders the node now, empty if nothing; asked of its list of models every `PROBE_EVERY` seconds."""
        at, trouble = self._probed
        if time.monotonic() - at >= PROBE_EVERY:
            try:
                with http.node_errors(self.name):
                    response = await self._http.get("/models", timeout=PROBE_TIMEOUT)
                refused = response.status_code in (401, 403)
                trouble = "The server refuses the key." if refused else ""
            except NodeError as error:
                trouble = error.message
            self._probed = (time.monotonic(), trouble)
        return trouble

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        path, body = self._ask(call)
        finish: FinishReason | None = None
        usage: Usage | None = None
        heard = False
        with http.node_errors(self.name):
            try:
                async with http.post(self._http, path, body, node=self.name) as response:
                    await self._expect_events(response)
                    async for data in data_lines(response.aiter_bytes()):
                        if data == "[DONE]":
                            finish = finish or "stop"
                            break
                        event, heard = self._event(data), True
                        usage = _usage(event) or usage
                        finish = _finish(event) or finish
                        if text := _text(event):
                            yield Chunk(text=text)
            except StatusError as error:
                raise _context_length(error) or error from None
            if not heard:
                raise BadResponseError(f"Node '{self.name}' sent an empty answer.")
            if finish is None:
                raise CutStreamError(f"Node '{self.name}' stopped in the middle of its answer.")
        yield Chunk(finish_reason=finish, usage=usage)

    def _ask(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Path and body of the request for `call`."""
        chosen = call.parameters
        body: dict[str, Any] = {"model": call.model, "stream": True, "stream_options": {"include_usage": True}}
        for name in ("temperature", "top_p", "max_tokens", "seed"):
            if (value := getattr(chosen, name)) is not None:
                body[name] = value
        if chosen.stop:
            body["stop"] = list(chosen.stop)
        if call.messages is None:
            return "/completions", {**body, "prompt": call.text}
        return "/chat/completions", {
            **body,
            "messages": [{"role": m.role, "content": m.content} for m in call.messages],
        }

    async def _expect_events(self, response: httpx.Response) -> None:
        kind = response.headers.get("content-type", "").split(";")[0].strip()
        if kind == "application/json":
            self._event((await http.error_body(response)).decode(errors="replace"))
        if kind != "text/event-stream":
            raise BadResponseError(f"Node '{self.name}' answered with {kind or 'no content type'} instead of a stream.")

    def _event(self, data: str) -> dict[str, Any]:
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            raise BadResponseError(f"Node '{self.name}' sent an event that is not JSON.") from None
        if not isinstance(event, dict):
            raise BadResponseError(f"Node '{self.name}' sent an event that is not an object.")
        if event.get("error"):
            raise BadResponseError(f"Node '{self.name}' reported: {http.message_in(event) or 'an error'}.")
        return event


def _choice(event: dict[str, Any]) -> dict[str, Any]:
    choices = event.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    return first if isinstance(first, dict) else {}


def _text(event: dict[str, Any]) -> str:
    choice = _choice(event)
    delta = choice.get("delta")
    text = delta.get("content") if isinstance(delta, dict) else choice.get("text")
    return text if isinstance(text, str) else ""


def _finish(event: dict[str, Any]) -> FinishReason | None:
    reason = _choice(event).get("finish_reason")
    if reason is None:
        return None
    return "length" if reason == "length" else "stop"


def _usage(event: dict[str, Any]) -> Usage | None:
    usage = event.get("usage")
    if not isinstance(usage, dict):
        return None
    given, made = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    if not isinstance(given, int) or not isinstance(made, int):
        return None
    if not 0 <= given <= MAX_TOKENS or not 0 <= made <= MAX_TOKENS:
        return None
    return Usage(given, made, "node")


def _context_length(error: StatusError) -> ContextLengthError | None:
    """The request's own fault, where a node says that its context is too small for it."""
    words = error.message.lower()
    if error.status in (400, 413, 422) and "context" in words and ("length" in words or "window" in words):
        return ContextLengthError(f"The input is too long. {error.message}")
    return None
