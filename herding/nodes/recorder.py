"""Writes down what goes to a node and what comes back, for somebody who wants to see why it does not work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import httpx

from herding.nodes.redact import Redactors

KEPT = 64_000
LOOK_SECONDS = 1.0
SHOWN = 16_000


@dataclass
class _Seen:
    """One request and its answer, as bytes and headers."""

    line: str = ""
    sent: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    status: int | None = None
    received: list[tuple[str, str]] = field(default_factory=list)
    answer: bytearray = field(default_factory=bytearray)


class Recorder(httpx.AsyncBaseTransport):
    """Passes requests on to another transport and remembers the last one.

    What it tells has the `secrets` masked and long texts cut.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, *, secrets: Iterable[str]) -> None:
        self._inner = inner
        self._scrubbers = Redactors(secrets)
        self._seen = _Seen()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        seen = self._seen = _Seen(f"{request.method} {request.url}", list(request.headers.items()))
        seen.body = await request.aread()
        response = await self._inner.handle_async_request(request)
        seen.status, seen.received = response.status_code, list(response.headers.items())
        stream = _Kept(response, seen.answer)
        return httpx.Response(response.status_code, headers=response.headers, stream=stream)

    async def aclose(self) -> None:
        await self._inner.aclose()

    @property
    def line(self) -> str:
        """Method and URL."""
        return self._shown(self._seen.line)

    @property
    def sent(self) -> tuple[str, ...]:
        """The headers of the request, a line each."""
        return self._lines(self._seen.sent)

    @property
    def body(self) -> str:
        """The body of the request."""
        return self._shown(self._seen.body.decode(errors="replace"))

    @property
    def status(self) -> int | None:
        """The status of the answer, None where there was none."""
        return self._seen.status

    @property
    def received(self) -> tuple[str, ...]:
        """The headers of the answer, a line each."""
        return self._lines(self._seen.received)

    @property
    def answer(self) -> str:
        """The beginning of the answer's body."""
        return self._shown(bytes(self._seen.answer).decode(errors="replace"))

    def shown(self, text: str) -> str:
        """Another text of the same exchange, masked and cut like the others."""
        return self._shown(text)

    def _lines(self, headers: list[tuple[str, str]]) -> tuple[str, ...]:
        return tuple(self._shown(f"{name}: {value}") for name, value in headers[:100])

    def _shown(self, text: str) -> str:
        text = self._scrubbers.whole(text)
        return text if len(text) <= SHOWN else f"{text[:SHOWN]} …"


class _Kept(httpx.AsyncByteStream):
    """A body whose beginning is remembered, also where nobody reads it."""

    def __init__(self, inner: httpx.Response, kept: bytearray) -> None:
        self._inner, self._kept = inner, kept

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._inner.aiter_raw():
            if len(self._kept) < KEPT:
                self._kept += data[: KEPT - len(self._kept)]
            yield data

    async def aclose(self) -> None:
        if not self._kept:
            with contextlib.suppress(TimeoutError, httpx.TransportError, httpx.StreamError):
                async with asyncio.timeout(LOOK_SECONDS):
                    self._kept += (await anext(self._inner.aiter_raw(), b""))[:KEPT]
        await self._inner.aclose()
