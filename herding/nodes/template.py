"""Nodes that speak any HTTP API: a URL, headers, and a body with placeholders, and where in the answer the text is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import ExitStack
from copy import deepcopy
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlencode

import httpx
from pydantic import Field, JsonValue, field_validator, model_validator

from herding.errors import BadResponseError
from herding.nodes import http
from herding.nodes.base import Deadlines, Node, estimated
from herding.nodes.extract import Extract
from herding.nodes.headers import checked_headers, in_header
from herding.nodes.origin import origin_of
from herding.nodes.placeholders import (
    MESSAGES,
    MODEL_NAME,
    NOT_SET,
    USER_PROMPT,
    Values,
    filled,
    filled_text,
    filled_url,
    names,
    secret_names,
    values_of,
    words,
)
from herding.nodes.redact import Redactors
from herding.nodes.sse import MAX_BYTES, event_data, plain_text, text_lines
from herding.values import Call, Chunk, NodeStatus
from herding.yaml_files import StrictModel

BESIDE_THE_LOOP = 100_000
"""Bytes of an answer that are read in a thread, since requests go on meanwhile."""

MAX_TEMPLATE = 100_000

_STREAMS = {
    "text/event-stream": "sse",
    "application/x-ndjson": "lines",
    "application/ndjson": "lines",
    "application/jsonl": "lines",
}
"""What a stream of such a type is, whatever the node is said to send."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class TemplateConfig(StrictModel):
    """Any HTTP API in the nodes file.

    `url`, `query`, `headers` and `body` may have the placeholders of `herding.nodes.placeholders`. `response_extract`
    is a JMESPath to the text, in each event or line where the node streams; without one, `lines` are text as it comes.
    `secrets` map the names of `{SECRET:NAME}` to the environment variables that hold them. An answer that does not
    stream counts as one token: `first_token` is for all of it.
    """

    kind: Literal["template"]
    name: str
    models: list[str] = Field(min_length=1)
    url: str
    method: Literal["POST", "GET"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict)
    query: dict[str, str | int | float | bool] = Field(default_factory=dict)
    body: JsonValue = None
    response_extract: str = ""
    stream: Literal[False, "sse", "lines"] = False
    secrets: dict[Name, str] = Field(default_factory=dict)
    context_length: int | None = Field(default=None, ge=1)
    concurrency: int | None = Field(default=16, ge=1)
    deadlines: Deadlines = Deadlines(first_token=120)

    @field_validator("url")
    @classmethod
    def _url_is_strict(cls, url: str) -> str:
        origin_of(url)
        return url

    @field_validator("headers")
    @classmethod
    def _headers_are_whole(cls, headers: dict[str, str]) -> dict[str, str]:
        if names(headers) - {MODEL_NAME} - {name for name in names(headers) if name.startswith("SECRET")}:
            raise ValueError("a header may hold {MODEL_NAME} and secrets, and nothing that a caller wrote")
        return checked_headers(headers)

    @field_validator("response_extract")
    @classmethod
    def _expression_is_one(cls, expression: str) -> str:
        Extract(expression)
        return expression

    @model_validator(mode="after")
    def _asks_something(self) -> TemplateConfig:
        if not {USER_PROMPT, MESSAGES} & names([self.url, self.query, self.body]):
            raise ValueError("the prompt goes nowhere: put {USER_PROMPT} into body, query or url")
        if self.method == "GET" and self.body is not None:
            raise ValueError("a GET has no body; put the placeholders into url or query")
        if missing := sorted(secret_names([self.url, self.query, self.headers, self.body]) - self.secrets.keys()):
            raise ValueError(f"the secret '{missing[0]}' is not given with this node")
        try:
            size = len(http.to_json([self.body, self.headers, self.query]))
        except ValueError:
            raise ValueError("JSON has no infinite numbers, and none that is not a number") from None
        if size > MAX_TEMPLATE:
            raise ValueError(f"a template has at most {MAX_TEMPLATE:,} characters")
        return self


class TemplateNode(Node):
    """Fills the template for every call, and takes the text out of the answer, which may stream."""

    kind: ClassVar[str] = "template"

    def __init__(
        self,
        config: TemplateConfig,
        *,
        secret: Callable[[str], str | None],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(config.name, models=config.models, deadlines=config.deadlines, concurrency=config.concurrency)
        found = {name: secret(source) for name, source in config.secrets.items()}
        self._missing = sorted(config.secrets[name] for name, value in found.items() if not value)
        self._secrets = {name: value for name, value in found.items() if value}
        self._method, self._url, self._stream = config.method, config.url, config.stream
        self._headers = {"content-type": "application/json"} if config.method == "POST" else {}
        self._headers |= {name.lower(): value for name, value in config.headers.items()}
        self._query, self._body = dict(config.query), deepcopy(config.body)
        self._used = names([config.url, config.query, config.headers, config.body])
        self._extract = Extract(config.response_extract)
        self._context_length = config.context_length
        self._carrier = transport or http.carrier()
        self._http = http.client(config.deadlines, transport=self._carrier)

    @property
    def serves(self) -> tuple[str, ...]:
        return () if self._missing else self.models

    async def close(self) -> None:
        await self._http.aclose()

    async def status(self) -> NodeStatus:
        if self._missing:
            return NodeStatus("off", detail=f"Set {', '.join(self._missing)} to switch this node on.")
        return NodeStatus("ready", serves=self.serves, context_length=self._context_length)

    async def count(self, call: Call) -> tuple[int, int] | None:
        """An estimate, where the context is known."""
        return estimated(call, self._context_length)

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        scrubbers = Redactors(self._secrets.values())
        with ExitStack() as errors:
            for secret in scrubbers.secrets:
                errors.enter_context(http.node_errors(self.name, secret=secret))
            errors.enter_context(http.node_errors(self.name))
            async with http.opened(self._carrier, self._request(call), node=self.name) as response:
                async for piece in self._pieces(response):
                    if text := scrubbers.feed(piece):
                        yield Chunk(text=text)
        yield Chunk(text=scrubbers.end(), finish_reason="stop")

    def _request(self, call: Call) -> httpx.Request:
        values = values_of(call, self._secrets, self._used)
        url = filled_url(self._url, values)
        if asked := _query(self._query, values):
            url += ("&" if "?" in url else "?") + asked
        content = b""
        if self._method == "POST":
            body = filled(self._body, values)
            content = b"" if body is None or body is NOT_SET else http.to_json(body).encode("utf-8", "replace")
        told = {name: filled_text(text, values, in_header) for name, text in self._headers.items()}
        headers = {**self._http.headers, **told}
        extensions = {"timeout": self._http.timeout.as_dict()}
        return httpx.Request(self._method, url, headers=headers, content=content, extensions=extensions)

    async def _pieces(self, response: httpx.Response) -> AsyncIterator[str]:
        """The texts in the order of their coming; a BadResponseError where there was none."""
        kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
        if not self._stream:
            yield await self._whole(response, kind)
            return
        form = _STREAMS.get(kind, self._stream)
        if kind == "text/html" or (form == "sse" and kind != "text/event-stream"):
            raise await self._unfit(response, kind)
        heard = False
        async for piece in self._events(response) if form == "sse" else self._lines(response):
            heard = True
            yield piece
        if not heard:
            raise BadResponseError(f"Node '{self.name}' sent an empty answer.")

    async def _unfit(self, response: httpx.Response, kind: str) -> BadResponseError:
        """The error for an answer of a type that is not expected; its own words where it says what went wrong."""
        said = (await http.small_body(response)).decode(errors="replace") if kind == "application/json" else ""
        if said:
            self._extract.piece(said)  # raises what an error in it says
        return BadResponseError(f"Node '{self.name}' answered with {kind or 'no content type'} instead of a stream.")

    async def _whole(self, response: httpx.Response, kind: str) -> str:
        """The text of an answer that does not stream; a page is none, though small servers call any text one."""
        body = bytearray()
        async for data in response.aiter_raw():
            body += data
            if len(body) > MAX_BYTES:
                raise BadResponseError(f"Node '{self.name}' sent more than an answer can be.")
        try:
            text = bytes(body).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise BadResponseError(f"Node '{self.name}' sent bytes that are not text.") from None
        if kind == "text/html" and text.lstrip().startswith("<"):
            raise BadResponseError(f"Node '{self.name}' answered with text/html instead of text.")
        if len(body) > BESIDE_THE_LOOP:
            return await asyncio.to_thread(self._extract.whole, text)
        return self._extract.whole(text)

    async def _events(self, response: httpx.Response) -> AsyncIterator[str]:
        """The text of each event; where the server says that it is at its end, no more is read."""
        async for data in event_data(response.aiter_raw()):
            if data.strip() == "[DONE]":
                return
            if data.strip() or not self._extract.reads_json:
                yield self._extract.piece(data)

    async def _lines(self, response: httpx.Response) -> AsyncIterator[str]:
        """The text of each line, or all text as it comes where no expression says what to take."""
        if not self._extract.reads_json:
            async for text in plain_text(response.aiter_raw()):
                yield text
            return
        async for lines in text_lines(response.aiter_raw()):
            for line in lines:
                yield self._extract.piece(line)


def _query(query: Mapping[str, Any], values: Values) -> str:
    made = filled(query, values)
    return urlencode({name: words(value) for name, value in made.items()}, errors="replace")
