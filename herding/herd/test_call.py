"""Sends one test prompt to a node that need not be added, and records the exchange."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field

import httpx

from herding.errors import HerdingError, NodeError
from herding.herd.node_call import NodeCall
from herding.nodes.base import BuildContext, Node
from herding.nodes.redact import Secrets
from herding.nodes.spec import NodeSpec
from herding.values import Call, Exchange, Message, Parameters

TIMEOUT_SECONDS = 30.0
MAX_PROMPT_CHARS = 4_000
PARAMETERS = Parameters(temperature=0.7, max_tokens=100)

MAX_RECORDED_BYTES = 64_000
MAX_SHOWN_CHARS = 16_000
MAX_SHOWN_HEADERS = 100
UNREAD_SECONDS = 1.0
"""Time to wait for the beginning of a response body that was not read."""


async def send_test_prompt(spec: NodeSpec, prompt: str, transport: httpx.AsyncBaseTransport) -> Exchange:
    """Send `prompt` to the first model of the node in `spec` and return the exchange, including any error."""
    recorder = RecordingTransport(transport, secrets=spec.secrets.values())
    node = spec.config.build(BuildContext(secret=spec.secrets.get, transport=recorder))
    started_at, text, error = time.perf_counter(), "", None
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            text = await _response_text(node, spec.models, prompt[:MAX_PROMPT_CHARS])
    except TimeoutError:
        error = f"The response was not complete within {TIMEOUT_SECONDS:.0f} seconds."
    except HerdingError as problem:
        error = problem.message
    finally:
        await node.close()
    recorded = recorder.recorded
    return Exchange(
        line=recorder.shorten(recorded.request_line),
        sent=recorder.header_lines(recorded.request_headers),
        body=recorder.shorten(recorded.request_body.decode(errors="replace")),
        status=recorded.status,
        received=recorder.header_lines(recorded.response_headers),
        answer=recorder.shorten(bytes(recorded.response_body).decode(errors="replace")),
        extracted=recorder.shorten(text),
        error=recorder.shorten(error) if error else None,
        milliseconds=(time.perf_counter() - started_at) * 1000,
    )


@dataclass
class RecordedExchange:
    """One request and the beginning of its response, not redacted."""

    request_line: str = ""
    request_headers: list[tuple[str, str]] = field(default_factory=list)
    request_body: bytes = b""
    status: int | None = None
    response_headers: list[tuple[str, str]] = field(default_factory=list)
    response_body: bytearray = field(default_factory=bytearray)


class RecordingTransport(httpx.AsyncBaseTransport):
    """Records the last request and response of another transport."""

    def __init__(self, inner: httpx.AsyncBaseTransport, *, secrets: Iterable[str]) -> None:
        self._inner = inner
        self._secrets = Secrets(secrets)
        self.recorded = RecordedExchange()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        recorded = RecordedExchange(f"{request.method} {request.url}", list(request.headers.items()))
        self.recorded = recorded
        recorded.request_body = await request.aread()
        response = await self._inner.handle_async_request(request)
        recorded.status, recorded.response_headers = response.status_code, list(response.headers.items())
        stream = _RecordedStream(response, recorded.response_body)
        return httpx.Response(response.status_code, headers=response.headers, stream=stream)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def header_lines(self, headers: list[tuple[str, str]]) -> tuple[str, ...]:
        """Return headers to show, one per line."""
        return tuple(self.shorten(f"{name}: {value}") for name, value in headers[:MAX_SHOWN_HEADERS])

    def shorten(self, text: str) -> str:
        """Return a text to show: redacted and limited in length."""
        text = self._secrets.redact(text)
        return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]} …"


class _RecordedStream(httpx.AsyncByteStream):
    """A response body whose beginning is recorded even if it is closed unread."""

    def __init__(self, response: httpx.Response, recorded: bytearray) -> None:
        self._response, self._recorded = response, recorded

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._response.aiter_raw():
            if len(self._recorded) < MAX_RECORDED_BYTES:
                self._recorded += data[: MAX_RECORDED_BYTES - len(self._recorded)]
            yield data

    async def aclose(self) -> None:
        if not self._recorded:
            with contextlib.suppress(TimeoutError, httpx.TransportError, httpx.StreamError):
                async with asyncio.timeout(UNREAD_SECONDS):
                    self._recorded += (await anext(self._response.aiter_raw(), b""))[:MAX_RECORDED_BYTES]
        await self._response.aclose()


async def _response_text(node: Node, models: tuple[str, ...], prompt: str) -> str:
    model = next(iter(models), None)
    if model is None:
        status = await node.status()
        model = next(iter(status.serves), None)
        if model is None:
            raise NodeError(status.detail or "The node serves no model.", node=node.name)
    call = Call("test", model, (Message("user", prompt),), parameters=PARAMETERS)
    running, text = NodeCall(node, call), ""
    try:
        async with aclosing(running.chunks()) as chunks:
            async for chunk in chunks:
                text += chunk.text
    finally:
        await running.close()
    return text
