"""Nodes that speak the OpenAI protocol: hosted routers, vLLM, Ollama, llama.cpp, another Herding."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import Field, field_validator, model_validator

from herding.errors import BadResponseError, DeadlineError, NodeError, StatusError
from herding.nodes import http
from herding.nodes.base import Deadlines, Node, estimated
from herding.nodes.openai_answer import Reader, embeddings, good, loaded, refused_form, too_long
from herding.nodes.origin import SHAPE
from herding.nodes.redact import Redactor
from herding.nodes.sse import data_lines
from herding.nodes.transport import Response
from herding.values import Call, Chunk, Embeddings, NodeStatus
from herding.yaml_files import StrictModel

PROBE_EVERY = 10.0
"""Seconds for which the list of models tells how the server is."""

PROBE_TIMEOUT = 3.0
"""Seconds."""

MAX_EMBEDDINGS = 64_000_000
"""Bytes of an answer with embeddings."""
_URL = re.compile(r"https?://[^\s@]+")


class OpenAIConfig(StrictModel):
    """An OpenAI-compatible server in the nodes file.

    `api_key_env` names the environment variable that holds the key; with `required`, the node is off without it.
    `models` are the ids that requests may be sent for, `embedding_models` those for embeddings; one of both must be
    there. `response_format` says whether the server can keep an answer to a form. Of a chat that outgrows
    `context_length` tokens, the oldest turns are not sent.
    """

    kind: Literal["openai"]
    name: str
    base_url: str
    models: list[str] = Field(default_factory=list)
    embedding_models: list[str] = Field(default_factory=list)
    response_format: bool = True
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    required: bool = True
    context_length: int | None = Field(default=None, ge=1)
    concurrency: int | None = Field(default=64, ge=1)
    deadlines: Deadlines = Deadlines()

    @field_validator("base_url")
    @classmethod
    def _url_is_whole(cls, url: str) -> str:
        if not _URL.fullmatch(url):
            raise ValueError(SHAPE)
        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0:  # a port out of range is a ValueError of its own
            raise ValueError("this URL names no host and port")
        if "?" in url or "#" in url:
            raise ValueError("this URL must end before '?' and '#': paths are put behind it")
        httpx.URL(url)
        return url

    @model_validator(mode="after")
    def _does_something(self) -> OpenAIConfig:
        if not self.models and not self.embedding_models:
            raise ValueError("a node needs models or embedding_models, at least 1")
        return self


class OpenAINode(Node):
    """Sends messages to `/chat/completions` and raw text to `/completions`, and reads their streams.

    Texts for embeddings go to `/embeddings`.
    """

    kind: ClassVar[str] = "openai"

    def __init__(
        self,
        config: OpenAIConfig,
        *,
        secret: Callable[[str], str | None],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(config.name, models=config.models, deadlines=config.deadlines, concurrency=config.concurrency)
        self._config = config
        key = secret(config.api_key_env) if config.api_key_env else None
        self._key = key if key and key.isascii() and key.isprintable() else None  # no header carries another
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        base = config.base_url.rstrip("/")
        carrier = transport or http.carrier()
        self._http = http.client(config.deadlines, transport=carrier, base_url=base, headers=headers)
        self._posts = http.Posts(self._http, carrier)
        self._probed = (-PROBE_EVERY, "")
        self._packs = True

    @property
    def serves(self) -> tuple[str, ...]:
        return () if self._missing_key else self.models

    @property
    def embeds(self) -> tuple[str, ...]:
        return () if self._missing_key else tuple(self._config.embedding_models)

    @property
    def formats(self) -> bool:
        return self._config.response_format

    @property
    def _missing_key(self) -> bool:
        return bool(self._config.api_key_env and self._config.required and not self._key)

    async def close(self) -> None:
        await self._http.aclose()

    async def status(self) -> NodeStatus:
        if self._missing_key:
            return NodeStatus("off", detail=f"Set {self._config.api_key_env} to a valid key to switch this node on.")
        if trouble := await self._probe():
            return NodeStatus("down", serves=self.serves, embeds=self.embeds, detail=trouble)
        length = self._config.context_length
        return NodeStatus("ready", serves=self.serves, embeds=self.embeds, context_length=length)

    async def _probe(self) -> str:
        """What hinders the node now, empty if nothing; asked of its list of models every `PROBE_EVERY` seconds."""
        at, trouble = self._probed
        if time.monotonic() - at >= PROBE_EVERY:
            try:
                with http.node_errors(self.name):
                    async with (
                        http.within(PROBE_TIMEOUT, node=self.name),
                        self._http.stream("GET", "/models", timeout=PROBE_TIMEOUT) as response,
                    ):
                        refused = response.status_code in (401, 403)
                trouble = "The server refuses the key." if refused else ""
            except NodeError as error:
                trouble = error.message
            self._probed = (time.monotonic(), trouble)
        return trouble

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        path, body = self._ask(call)
        reader, scrubber = Reader(self.name), Redactor(self._key)
        with http.node_errors(self.name, secret=self._key):
            try:
                async with self._posts.post(path, body, node=self.name) as response:
                    await self._expect_events(response)
                    async with aclosing(data_lines(response.aiter_raw())) as lines:
                        async for events in lines:
                            if text := scrubber.feed(reader.read(events)):
                                yield Chunk(text=text)
                            if reader.failure:
                                raise reader.failure
                            if reader.done:
                                break
            except StatusError as error:
                raise too_long(error) or refused_form(error, call) or error from None
            finish = reader.end()
        yield Chunk(text=scrubber.end(), finish_reason=finish, usage=reader.usage)

    async def count(self, call: Call) -> tuple[int, int] | None:
        """An estimate: only the server itself knows its tokenizer."""
        return estimated(call, self._config.context_length)

    async def embed(self, model: str, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
        body: dict[str, Any] = {"model": model, "input": list(texts)}
        if dimensions is not None:
            body["dimensions"] = dimensions
        if self._packs:
            body["encoding_format"] = "base64"
        with http.node_errors(self.name, secret=self._key):
            try:
                answer = await self._embeddings(body)
                made = await asyncio.to_thread(embeddings, answer, texts)  # megabytes, and requests go on meanwhile
            except StatusError as error:
                if not self._packs or error.status not in (400, 422) or "encoding_format" not in error.message:
                    raise too_long(error) or error from None
            else:
                return made
        self._packs = False
        return await self.embed(model, texts, dimensions=dimensions)

    async def _embeddings(self, body: dict[str, Any]) -> bytes:
        """The whole answer, under the deadlines of a stream."""
        loop, limits, answer = asyncio.get_running_loop(), self.deadlines, bytearray()
        try:
            async with (
                asyncio.timeout(limits.first_token) as patience,
                self._posts.post("/embeddings", body, node=self.name) as response,
            ):
                async for piece in response.aiter_raw():
                    patience.reschedule(loop.time() + limits.idle)
                    answer += piece
                    if len(answer) > MAX_EMBEDDINGS:
                        raise BadResponseError(f"Node '{self.name}' sent more than embeddings can be.")
        except TimeoutError:
            raise DeadlineError(f"Node '{self.name}' did not send its embeddings in time.") from None
        return bytes(answer)

    def _ask(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Path and body of the request for `call`."""
        chosen = call.parameters
        body: dict[str, Any] = {"model": call.model, "stream": True, "stream_options": {"include_usage": True}}
        for name in ("temperature", "top_p", "max_tokens", "seed"):
            if (value := getattr(chosen, name)) is not None:
                body[name] = value
        if chosen.stop:
            body["stop"] = list(chosen.stop)
        if call.response_format is not None:
            body["response_format"] = dict(call.response_format)
        if call.messages is None:
            return "/completions", {**body, "prompt": call.text}
        return "/chat/completions", {
            **body,
            "messages": [{"role": m.role, "content": m.content} for m in call.messages],
        }

    async def _expect_events(self, response: Response) -> None:
        kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind == "application/json":
            good(loaded((await http.small_body(response)).decode("utf-8-sig", "replace"), self.name), self.name)
        if kind != "text/event-stream":
            raise BadResponseError(f"Node '{self.name}' answered with {kind or 'no content type'} instead of a stream.")
