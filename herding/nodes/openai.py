"""Nodes with an OpenAI-compatible API: hosted routers, vLLM, Ollama, llama.cpp, another Herding."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import Field, field_validator, model_validator

from herding.errors import BadResponseError, DeadlineError, NodeError, NoModelError, StatusError
from herding.nodes import http
from herding.nodes.base import ENVIRONMENT_NAME, BuildContext, Node, RemoteConfig, estimate_count, estimate_tokens
from herding.nodes.capabilities import Capabilities, CapabilitiesConfig, hosted_capabilities
from herding.nodes.dialect import Dialect
from herding.nodes.origin import URL_FORM, check_name
from herding.nodes.prices import Price, list_price
from herding.nodes.redact import Secrets
from herding.nodes.responses.decompress import body_of
from herding.nodes.responses.event_reader import EventReader
from herding.nodes.responses.openai_choices import ChunkRedactor
from herding.nodes.responses.openai_response import (
    StreamReader,
    context_length_error,
    parse_embeddings,
)
from herding.nodes.responses.ranking import parse_ranking
from herding.nodes.transport import NodeTransport
from herding.values import Call, Chunk, EmbeddingInput, Embeddings, Fields, NodeStatus, Ranking

PROBE_EVERY = 10.0
"""Seconds between two probes of the server."""

PROBE_TIMEOUT = 3.0
LATE_SECONDS = 0.25
"""Seconds to wait for the usage after the end of a stream that had none."""

MAX_EMBEDDINGS_BYTES = 64_000_000

TEI_DOCUMENTS = 32
"""The most documents that text-embeddings-inference takes at a time, unless it is started with another limit."""

_FORMAT = re.compile("response_format|schema")
_URL = re.compile(r"https?://[^\s@]+")


class OpenAIConfig(RemoteConfig):
    """An OpenAI-compatible server in the nodes file.

    `api_key_env` names the environment variable that holds the key; with `required`, the node is off without it.
    At least one of `models`, `embedding_models` and `rerank_models` must be set. `response_format` is true for a server
    that supports it. The oldest turns of a chat with more than `context_length` tokens are not sent.
    `model_capabilities` are those of single models, where they differ from `capabilities`. Without `stream` the server
    is asked for whole responses, which must arrive within `first_token`. Without `stream_options` it is not asked for
    token counts. `max_tokens_field` is its name for the maximum of output tokens.
    """

    label: ClassVar[str] = "OpenAI-compatible"
    example_url: ClassVar[str] = "http://127.0.0.1:8000/v1"
    key_help: ClassVar[str] = "API key, if the server requires one"

    kind: Literal["openai"]
    base_url: str
    models: list[str] = Field(default_factory=list)
    embedding_models: list[str] = Field(default_factory=list)
    rerank_models: list[str] = Field(default_factory=list)
    response_format: bool = True
    api_key_env: str | None = Field(default=None, pattern=ENVIRONMENT_NAME)
    required: bool = True
    context_length: int | None = Field(default=None, ge=1)
    concurrency: int | None = Field(default=64, ge=1)
    stream: bool = True
    stream_options: bool = True
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    model_capabilities: dict[str, CapabilitiesConfig] = Field(default_factory=dict, max_length=1000)

    @field_validator("base_url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if not _URL.fullmatch(url):
            raise ValueError(URL_FORM)
        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0:  # `port` raises ValueError if it is out of range
            raise ValueError("this URL has no host or an invalid port")
        if "?" in url or "#" in url:
            raise ValueError("remove '?' and '#' from this URL: paths are appended to it")
        check_name(url)
        return url

    @model_validator(mode="after")
    def _has_models(self) -> OpenAIConfig:
        if not self.models and not self.embedding_models and not self.rerank_models:
            raise ValueError("a node needs at least 1 entry in models, embedding_models or rerank_models")
        return self

    @classmethod
    def with_secrets(cls, fields: Mapping[str, Any], secrets: dict[str, str]) -> dict[str, Any]:
        return {**fields, "api_key_env": "SECRET"} if "SECRET" in secrets else dict(fields)

    def build(self, context: BuildContext) -> OpenAINode:
        return OpenAINode(self, secret=context.secret, transport=self.transport(context))


class OpenAINode(Node):
    """Sends messages to `/chat/completions`, raw text to `/completions`, texts to `/embeddings` and `/rerank`."""

    def __init__(
        self,
        config: OpenAIConfig,
        *,
        secret: Callable[[str], str | None],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(config, models=config.models)
        self._config = config
        everything = config.capabilities.over(hosted_capabilities(httpx.URL(config.base_url).host))
        self._capabilities = {model: own.over(everything) for model, own in config.model_capabilities.items()}
        self._default_capabilities = everything
        key = secret(config.api_key_env) if config.api_key_env else None
        self._key = key if key and http.is_header_value(key) else None
        self._secrets = Secrets([self._key] if self._key else [])
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._url = config.base_url.rstrip("/")
        self._transport = transport or NodeTransport()
        self._http = http.client(config.deadlines, transport=self._transport, base_url=self._url, headers=headers)
        host = httpx.Request("POST", self._url).headers["Host"]
        self._headers = httpx.Headers({"Host": host, **self._http.headers, "Content-Type": "application/json"})
        connect_only = httpx.Timeout(None, connect=config.deadlines.connect)  # callers bound the wait for a response
        self._extensions = {"timeout": connect_only.as_dict()}
        self._urls: dict[str, httpx.URL] = {}
        self._probe_time, self._probe_problem = -PROBE_EVERY, ""
        self._supports_base64, self._is_tei = True, False
        self._dialect = Dialect(config.max_tokens_field, stream=config.stream, stream_options=config.stream_options)
        self._dialects: dict[str, Dialect] = {}

    @property
    def serves(self) -> tuple[str, ...]:
        return () if self._missing_key else self.models

    @property
    def embeds(self) -> tuple[str, ...]:
        return () if self._missing_key else tuple(self._config.embedding_models)

    @property
    def reranks(self) -> tuple[str, ...]:
        return () if self._missing_key else tuple(self._config.rerank_models)

    @property
    def formats(self) -> bool:
        return self._config.response_format

    def capabilities(self, model: str) -> Capabilities:
        """Return what the server is expected to do: everything, unless the nodes file says otherwise."""
        return self._capabilities.get(model, self._default_capabilities)

    def known_price(self, model: str) -> Price | None:
        return list_price(self._config.base_url, model)

    @property
    def _missing_key(self) -> bool:
        return bool(self._config.api_key_env and self._config.required and not self._key)

    async def close(self) -> None:
        await self._http.aclose()

    async def status(self) -> NodeStatus:
        if self._missing_key:
            return NodeStatus("off", detail=f"Set {self._config.api_key_env} to a valid key to enable this node.")
        if problem := await self._probe():
            return NodeStatus("down", serves=self.serves, embeds=self.embeds, reranks=self.reranks, detail=problem)
        length = self._config.context_length
        return NodeStatus("ready", serves=self.serves, embeds=self.embeds, reranks=self.reranks, context_length=length)

    async def _probe(self) -> str:
        """Request the list of models at most every `PROBE_EVERY` seconds; return the problem, if any."""
        if time.monotonic() - self._probe_time >= PROBE_EVERY:
            try:
                with http.node_errors(self.name):
                    async with (
                        http.within(PROBE_TIMEOUT, node=self.name),
                        self._http.stream("GET", "/models", timeout=PROBE_TIMEOUT) as response,
                    ):
                        rejected = response.status_code in (401, 403)
                self._probe_problem = "The server rejected the key." if rejected else ""
            except NodeError as error:
                self._probe_problem = error.message
            self._probe_time = time.monotonic()
        return self._probe_problem

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        path, body = _chat_request(call)
        events, reader, redactor = EventReader(self.name), StreamReader(self.name), ChunkRedactor(self._secrets)
        last = Chunk()
        with http.node_errors(self.name, secret=self._key):
            try:
                async with aclosing(await self._open(path, body, call.model)) as response:
                    pieces = body_of(response)
                    while not reader.done and not events.ended:
                        piece = await anext(pieces, None)
                        chunks = reader.read(events.end() if piece is None else events.feed(piece))
                        if chunks and not reader.failure and (events.ended or (reader.done and reader.usage)):
                            last = chunks.pop()  # what comes with the end is one chunk with it
                        for chunk in chunks:
                            yield redactor.feed(chunk)
                        if failure := reader.failure or (None if reader.done else events.failure):
                            raise failure
                    if reader.done and reader.usage is None:
                        await _read_late(reader, events, pieces)
            except StatusError as error:
                if call.response_format is not None and _FORMAT.search(error.message):
                    error.param = error.param or "response_format"
                raise context_length_error(error) or error from None
            finish_reason = reader.finish()
        yield redactor.end(last, finish_reason, reader.usage)

    async def count(self, call: Call) -> tuple[int, int] | None:
        """Return an estimate, since only the server knows its tokenizer."""
        return estimate_count(call, self._config.context_length)

    async def embed(
        self,
        model: str,
        texts: Sequence[EmbeddingInput],
        *,
        dimensions: int | None = None,
        more: Fields | None = None,
    ) -> Embeddings:
        body: dict[str, Any] = {**(more or {}), "model": model, "input": list(texts)}
        if dimensions is not None:
            body["dimensions"] = dimensions
        if self._supports_base64:
            body["encoding_format"] = "base64"
        with http.node_errors(self.name, secret=self._key):
            try:
                content = await self._read_whole(f"{self._url}/embeddings", body)
                parse = partial(parse_embeddings, content, texts, node=self.name)
                embeddings = await asyncio.to_thread(parse)  # may be megabytes
            except StatusError as error:
                if (
                    not self._supports_base64
                    or error.status not in (400, 422)
                    or "encoding_format" not in f"{error.message} {error.param}"
                ):
                    raise context_length_error(error) or error from None
            else:
                return embeddings
        self._supports_base64 = False
        return await self.embed(model, texts, dimensions=dimensions, more=more)

    async def rerank(self, model: str, query: str, documents: Sequence[str]) -> Ranking:
        with http.node_errors(self.name, secret=self._key):
            try:
                if not self._is_tei:
                    try:
                        return await self._rerank(model, query, documents)
                    except StatusError as error:
                        misses = error.status in (404, 405) or (error.status == 422 and "texts" in error.message)
                        if not misses or isinstance(error, NoModelError):
                            raise
                        made = await self._rerank_by_tei(query, documents, refused=error)
                        self._is_tei = True
                        return made
                return await self._rerank_by_tei(query, documents)
            except StatusError as error:
                raise context_length_error(error) or error from None

    async def _rerank(self, model: str, query: str, documents: Sequence[str]) -> Ranking:
        """Return the scores of a server with the common form, in which the place of the path is that of `base_url`."""
        body = {"model": model, "query": query, "documents": list(documents)}
        made = parse_ranking(await self._read_whole(f"{self._url}/rerank", body), len(documents), node=self.name)
        return made if made.source == "node" else replace(made, input_tokens=_ranked_tokens(query, documents))

    async def _rerank_by_tei(
        self, query: str, documents: Sequence[str], *, refused: StatusError | None = None
    ) -> Ranking:
        """Return the scores of text-embeddings-inference, whose path is below the root.

        Raises the first error where the server `refused` the common form and knows this one neither.
        """
        url, scores = f"{self._url.removesuffix('/v1')}/rerank", list[float]()
        for start in range(0, len(documents), TEI_DOCUMENTS):
            part = documents[start : start + TEI_DOCUMENTS]
            body = {"query": query, "texts": list(part), "truncate": True}
            try:
                content = await self._read_whole(url, body)
            except StatusError as error:
                raise refused or error from None
            scores += parse_ranking(content, len(part), node=self.name).scores
        return Ranking(tuple(scores), _ranked_tokens(query, documents))

    async def _open(self, path: str, body: dict[str, Any], model: str) -> httpx.Response:
        """Return the open response of success. What the server refuses to understand is sent in another form, once."""
        dialect, sent = self._dialects.get(model, self._dialect), list[dict[str, Any]]()
        while True:
            sent.append(dialect.applied_to(body))
            try:
                response = await self._post(self._url + path, sent[-1])
            except StatusError as error:
                other = dialect.after(error, body)
                if other is None or other.applied_to(body) in sent:
                    raise
                dialect = other
            else:
                if len(sent) > 1:
                    self._dialects[model] = dialect
                return response

    async def _post(self, at: str, body: dict[str, Any]) -> httpx.Response:
        """Return the open response of success to a JSON body."""
        url = self._urls.get(at) or self._urls.setdefault(at, httpx.URL(at))  # parsing is expensive
        content = httpx.ByteStream(http.to_json(body).encode())  # as `content`, httpx would work out all headers anew
        request = httpx.Request("POST", url, headers=self._headers, stream=content, extensions=self._extensions)
        return await http.open_response(self._transport, request, node=self.name)

    async def _read_whole(self, at: str, body: dict[str, Any]) -> bytes:
        """Return the whole response, under the deadlines of a stream."""
        loop, limits, content = asyncio.get_running_loop(), self.deadlines, bytearray()
        try:
            async with (
                asyncio.timeout(limits.first_token) as deadline,
                aclosing(await self._post(at, body)) as response,
            ):
                async for piece in body_of(response):
                    deadline.reschedule(loop.time() + limits.idle)
                    content += piece
                    if len(content) > MAX_EMBEDDINGS_BYTES:
                        raise BadResponseError(f"Node '{self.name}' sent too many bytes.")
        except TimeoutError:
            raise DeadlineError(f"Node '{self.name}' did not send its response in time.") from None
        return bytes(content)


def _ranked_tokens(query: str, documents: Sequence[str]) -> int:
    """Return an estimate of the tokens that a reranker reads: the query with each document."""
    return estimate_tokens(len(query) * len(documents) + sum(map(len, documents)))


async def _read_late(reader: StreamReader, events: EventReader, pieces: AsyncIterator[bytes]) -> None:
    """Read the usage that some servers send after the end; most close the response at once instead."""
    with contextlib.suppress(TimeoutError, NodeError, httpx.TransportError):
        async with asyncio.timeout(LATE_SECONDS):
            async for piece in pieces:
                reader.read_late(events.feed(piece))
            reader.read_late(events.end())


def _chat_request(call: Call) -> tuple[str, dict[str, Any]]:
    """Return path and body of the request for `call`."""
    body: dict[str, Any] = {"model": call.model, "stream": True, "stream_options": {"include_usage": True}}
    body |= call.parameters.given()
    if call.response_format is not None:
        body["response_format"] = dict(call.response_format)
    if call.messages is not None:
        return "/chat/completions", {**body, "messages": [message.body() for message in call.messages]}
    prompts = call.prompts
    return "/completions", {**body, "prompt": call.text if prompts is None else _prompt_field(prompts)}


def _prompt_field(prompts: tuple[Any, ...]) -> Any:
    """Return raw prompts as OpenAI's API takes them: one text or list of token ids stands for itself."""
    return prompts[0] if len(prompts) == 1 else list(prompts)
