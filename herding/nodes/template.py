"""Nodes with any HTTP API: a request template with placeholders, and where the text is in the response."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import ExitStack, aclosing
from copy import deepcopy
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlencode

import httpx
from pydantic import Field, JsonValue, field_validator, model_validator

from herding.errors import BadResponseError, UserError
from herding.nodes import http
from herding.nodes.base import BuildContext, Deadlines, Node, RemoteConfig, estimate_count
from herding.nodes.capabilities import Capabilities
from herding.nodes.http import check_headers, encode_header_value, is_header_value
from herding.nodes.origin import origin_of
from herding.nodes.redact import Secrets, StreamRedactor
from herding.nodes.responses.decompress import body_of
from herding.nodes.responses.sse import MAX_BYTES, event_data, plain_text, text_lines
from herding.nodes.template_syntax import (
    MESSAGES,
    MODEL_NAME,
    NOT_SET,
    USER_PROMPT,
    TextExtractor,
    Values,
    fill,
    fill_text,
    fill_url,
    placeholder_names,
    placeholder_values,
    secret_names,
    to_text,
)
from herding.nodes.transport import NodeTransport
from herding.values import Call, Chunk, NodeStatus

PARSE_IN_THREAD_BYTES = 100_000
"""A longer response is parsed in a thread, so that other requests continue."""

MAX_TEMPLATE_CHARS = 100_000
MIN_SECRET_CHARS = 4

_STREAM_FORMATS = {
    "text/event-stream": "sse",
    "application/x-ndjson": "lines",
    "application/ndjson": "lines",
    "application/jsonl": "lines",
}
"""The stream format of a media type, which takes precedence over the configured one."""

_PARAMETERS = {"MODEL_TEMPERATURE": "temperature", "MAX_TOKENS": "max_tokens"}
"""The parameters that placeholders stand for."""

_HEADER_CREDENTIAL = re.compile(".*(auth|cookie|key|token|secret|password|credential).*", re.IGNORECASE)
_BODY_CREDENTIAL = re.compile(
    "(x[-_])?((api|access|auth|client|private|secret)[-_]?(key|token|secret)|password|secret)", re.IGNORECASE
)
_QUERY_CREDENTIAL = re.compile(f"{_BODY_CREDENTIAL.pattern}|key|token", re.IGNORECASE)
_SCHEME_AND_CREDENTIAL = re.compile(r"([A-Za-z-]{1,20} +)?(.*)", re.DOTALL)
"""A server that repeats a credential may omit the scheme before it, such as `Bearer`."""

SecretName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class TemplateConfig(RemoteConfig):
    """Any HTTP API in the nodes file.

    `url`, `query`, `headers` and `body` may contain the placeholders of `herding.nodes.template_syntax`.
    `response_extract` is a JMESPath to the text, in each event or line of a stream; without one, `lines` are passed on
    as text. `secrets` maps the names of `{SECRET:NAME}` to environment variables. A response that does not stream must
    be complete within `first_token`.
    """

    label: ClassVar[str] = "HTTP template"
    url_field: ClassVar[str] = "url"
    example_url: ClassVar[str] = "http://127.0.0.1:8008/api/generate"
    key_help: ClassVar[str] = "Replaces {SECRET} in the template"

    kind: Literal["template"]
    models: list[str] = Field(min_length=1)
    url: str
    method: Literal["POST", "GET"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict)
    query: dict[str, str | int | float | bool] = Field(default_factory=dict)
    body: JsonValue = None
    response_extract: str = ""
    stream: Literal[False, "sse", "lines"] = False
    secrets: dict[SecretName, str] = Field(default_factory=dict)
    context_length: int | None = Field(default=None, ge=1)
    concurrency: int | None = Field(default=16, ge=1)
    deadlines: Deadlines = Deadlines(first_token=120)

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        origin_of(url)
        return url

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        names = placeholder_names(headers)
        if names - {MODEL_NAME} - {name for name in names if name.startswith("SECRET")}:
            raise ValueError("headers may contain only {MODEL_NAME} and secrets, no text from requests")
        return check_headers(headers)

    @field_validator("response_extract")
    @classmethod
    def _check_expression(cls, expression: str) -> str:
        TextExtractor(expression)
        return expression

    @model_validator(mode="after")
    def _check_template(self) -> TemplateConfig:
        if not {USER_PROMPT, MESSAGES} & placeholder_names([self.url, self.query, self.body]):
            raise ValueError("the prompt is missing: put {USER_PROMPT} into body, query or url")
        if self.method == "GET" and self.body is not None:
            raise ValueError("a GET request has no body: put the placeholders into url or query")
        if missing := sorted(secret_names([self.url, self.query, self.headers, self.body]) - self.secrets.keys()):
            raise ValueError(f"the secret '{missing[0]}' is missing")
        try:
            size = len(http.to_json([self.body, self.headers, self.query]))
        except ValueError:
            raise ValueError("JSON allows no NaN and no infinite numbers") from None
        if size > MAX_TEMPLATE_CHARS:
            raise ValueError(f"a template has at most {MAX_TEMPLATE_CHARS:,} characters")
        return self

    @classmethod
    def with_secrets(cls, fields: Mapping[str, Any], secrets: dict[str, str]) -> dict[str, Any]:
        """Replace credentials in headers, query and body by secrets."""
        try:
            replaced = {
                "headers": _extract_secrets(fields.get("headers"), _HEADER_CREDENTIAL, "HEADER", secrets) or {},
                "query": _extract_secrets(fields.get("query"), _QUERY_CREDENTIAL, "QUERY", secrets) or {},
                "body": _extract_secrets(fields.get("body"), _BODY_CREDENTIAL, "BODY", secrets),
            }
        except RecursionError:
            raise UserError("The body is nested too deeply.", param="body") from None
        return {**fields, **replaced, "secrets": {name: name for name in secrets}}

    def build(self, context: BuildContext) -> TemplateNode:
        return TemplateNode(self, secret=context.secret, transport=self.transport(context))


class TemplateNode(Node):
    """Sends the filled template for each call and extracts the text from the response, which may be a stream."""

    def __init__(
        self,
        config: TemplateConfig,
        *,
        secret: Callable[[str], str | None],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(config, models=config.models)
        values = {name: secret(source) for name, source in config.secrets.items()}
        self._missing = sorted(config.secrets[name] for name, value in values.items() if not value)
        self._secrets = {name: value for name, value in values.items() if value}
        self._redacted = Secrets(self._secrets.values())
        self._method, self._url, self._stream = config.method, config.url, config.stream
        self._headers = {"content-type": "application/json"} if config.method == "POST" else {}
        self._headers |= {name.lower(): value for name, value in config.headers.items()}
        self._query, self._body = dict(config.query), deepcopy(config.body)
        self._used = placeholder_names([config.url, config.query, config.headers, config.body])
        self._parameters = frozenset(_PARAMETERS[name] for name in self._used & _PARAMETERS.keys())
        self._extractor = TextExtractor(config.response_extract)
        self._context_length = config.context_length
        self._transport = transport or NodeTransport()
        self._http = http.client(config.deadlines, transport=self._transport)

    @property
    def serves(self) -> tuple[str, ...]:
        return () if self._missing else self.models

    def capabilities(self, model: str) -> Capabilities:  # noqa: ARG002 (the same for all)
        """Return what the template has placeholders for; Herding itself ends a response at a stop string."""
        return self.configured.over(Capabilities(parameters=self._parameters))

    async def close(self) -> None:
        await self._http.aclose()

    async def status(self) -> NodeStatus:
        if self._missing:
            return NodeStatus("off", detail=f"Set {', '.join(self._missing)} to enable this node.")
        return NodeStatus("ready", serves=self.serves, context_length=self._context_length)

    async def count(self, call: Call) -> tuple[int, int] | None:
        """Return an estimate if the context length is known."""
        return estimate_count(call, self._context_length)

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        redactor = StreamRedactor(self._redacted)
        with ExitStack() as errors:
            for secret in self._redacted.forms:
                errors.enter_context(http.node_errors(self.name, secret=secret))
            errors.enter_context(http.node_errors(self.name))
            async with aclosing(
                await http.open_response(self._transport, self._request(call), node=self.name)
            ) as response:
                async for piece in self._pieces(response):
                    if text := redactor.feed(piece):
                        yield Chunk(text=text)
        yield Chunk(text=redactor.flush(), finish_reason="stop")

    def _request(self, call: Call) -> httpx.Request:
        values = placeholder_values(call, self._secrets, self._used)
        url = fill_url(self._url, values)
        if query := _encode_query(self._query, values):
            url += ("&" if "?" in url else "?") + query
        content = b""
        if self._method == "POST":
            body = fill(self._body, values)
            content = b"" if body is None or body is NOT_SET else http.to_json(body).encode("utf-8", "replace")
        own_headers = {name: fill_text(text, values, encode_header_value) for name, text in self._headers.items()}
        headers = {**self._http.headers, **own_headers}
        extensions = {"timeout": self._http.timeout.as_dict()}
        return httpx.Request(self._method, url, headers=headers, content=content, extensions=extensions)

    async def _pieces(self, response: httpx.Response) -> AsyncIterator[str]:
        """Stream the texts of the response; raise BadResponseError if there are none."""
        kind = http.content_type(response)
        if not self._stream:
            yield await self._complete_text(response, kind)
            return
        stream_format = _STREAM_FORMATS.get(kind, self._stream)
        if kind == "text/html" or (stream_format == "sse" and kind != "text/event-stream"):
            raise await self._not_a_stream(response, kind)
        empty = True
        async for piece in self._events(response) if stream_format == "sse" else self._lines(response):
            empty = False
            yield piece
        if empty:
            raise BadResponseError(f"Node '{self.name}' sent an empty response.")

    async def _not_a_stream(self, response: httpx.Response, kind: str) -> BadResponseError:
        """Return the error for an unexpected media type, or raise the error that a JSON body reports."""
        body = (await http.small_body(response)).decode(errors="replace") if kind == "application/json" else ""
        if body:
            self._extractor.extract_event(body)
        return BadResponseError(f"Node '{self.name}' sent {kind or 'no content type'} instead of a stream.")

    async def _complete_text(self, response: httpx.Response, kind: str) -> str:
        """Return the text of a response that is not a stream; web pages are refused, mislabelled text is not."""
        body = bytearray()
        async for data in body_of(response):
            body += data
            if len(body) > MAX_BYTES:
                raise BadResponseError(f"Node '{self.name}' sent a response that is too long.")
        try:
            text = bytes(body).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise BadResponseError(f"Node '{self.name}' sent bytes that are not text.") from None
        if kind == "text/html" and text.lstrip().startswith("<"):
            raise BadResponseError(f"Node '{self.name}' sent text/html instead of text.")
        if len(body) > PARSE_IN_THREAD_BYTES:
            return await asyncio.to_thread(self._extractor.extract, text)
        return self._extractor.extract(text)

    async def _events(self, response: httpx.Response) -> AsyncIterator[str]:
        """Stream the text of each event up to `[DONE]`."""
        async for data in event_data(body_of(response)):
            if data.strip() == "[DONE]":
                return
            if data.strip() or not self._extractor.expects_json:
                yield self._extractor.extract_event(data)

    async def _lines(self, response: httpx.Response) -> AsyncIterator[str]:
        """Stream the text of each line, or all text as it arrives if there is no expression."""
        if not self._extractor.expects_json:
            async for text in plain_text(body_of(response)):
                yield text
            return
        async for lines in text_lines(body_of(response)):
            for line in lines:
                yield self._extractor.extract_event(line)


def _encode_query(query: Mapping[str, Any], values: Values) -> str:
    filled = fill(query, values)
    return urlencode({name: to_text(value) for name, value in filled.items()}, errors="replace")


def _extract_secrets(template: Any, key_pattern: re.Pattern[str], prefix: str, secrets: dict[str, str]) -> Any:
    """Return `template` with the values of matching keys moved into `secrets`."""
    if isinstance(template, list):
        return [_extract_secrets(item, key_pattern, prefix, secrets) for item in template]
    if not isinstance(template, Mapping):
        return template
    replaced = {}
    for key, value in template.items():
        if isinstance(value, str) and key_pattern.fullmatch(str(key)):
            replaced[key] = _extract_secret(value, f"{prefix}_{key}", secrets)
        else:
            replaced[key] = _extract_secrets(value, key_pattern, prefix, secrets)
    return replaced


def _extract_secret(value: str, name: str, secrets: dict[str, str]) -> str:
    """Return the placeholder for a credential; the value itself if it has placeholders or is too short."""
    match = _SCHEME_AND_CREDENTIAL.fullmatch(value)
    scheme, secret = match.groups(default="") if match else ("", value)
    if placeholder_names(value) or not is_header_value(value) or len(secret) < MIN_SECRET_CHARS:
        return value
    base = re.sub(r"[^A-Z0-9_]", "_", name.upper())[:60]
    names = (f"{base}{number or ''}" for number in range(len(secrets) + 1))
    free = next(name for name in names if secrets.get(name, secret) == secret)
    secrets[free] = secret
    return f"{scheme}{{SECRET:{free}}}"
