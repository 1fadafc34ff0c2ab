"""HTTP connections for httpx by aiohttp, which costs a fraction of httpx's own pool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from yarl import URL

KEPT_SECONDS = 15.0
"""How long a connection without a request stays open."""

_ERRORS: tuple[tuple[type[Exception], type[httpx.RequestError]], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol),
    (aiohttp.ClientOSError, httpx.ReadError),
    (aiohttp.ClientError, httpx.RemoteProtocolError),
)
"""What aiohttp raises, as httpx calls it; the first that fits counts."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx's requests over aiohttp's connections, and nothing that httpx did not ask for.

    No cookies, redirects, decompression, proxies or credentials of aiohttp's own. A request that goes to a kept
    connection just as the server closes it, and gets no answer, is sent once more. A `resolver` of the caller's is
    asked for every new connection.
    """

    def __init__(self, *, max_connections: int, resolver: AbstractResolver | None = None) -> None:
        self._max_connections = max_connections
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        used = SimpleNamespace(kept=False)
        content = await request.aread()
        with _httpx_errors(request):
            try:
                answer = await self._send(request, content, used)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not used.kept or self._opened().closed:  # we may have let go of the server as it died
                    raise
                answer = await self._send(request, content, used)
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer, request))

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _send(self, request: httpx.Request, content: bytes, used: SimpleNamespace) -> aiohttp.ClientResponse:
        """The answer, as soon as its head is there; notes in `used` whether a kept connection carried it."""
        timeout = request.extensions.get("timeout", {})
        return await self._opened().request(
            request.method,
            URL(str(request.url), encoded=True),
            headers=request.headers.multi_items(),
            data=content or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                connect=timeout.get("pool"), sock_connect=timeout.get("connect"), sock_read=timeout.get("read")
            ),
            trace_request_ctx=used,
        )

    def _opened(self) -> aiohttp.ClientSession:
        """The session; made at first use, since it belongs to the running event loop."""
        if self._session is None:
            trace = aiohttp.TraceConfig()
            trace.on_connection_reuseconn.append(_note_kept)
            connector = aiohttp.TCPConnector(
                limit=self._max_connections,
                keepalive_timeout=KEPT_SECONDS,
                ssl=httpx.create_ssl_context(trust_env=False),
                resolver=self._resolver or aiohttp.ThreadedResolver(),
                use_dns_cache=self._resolver is None,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                trace_configs=[trace],
            )
        return self._session


class _Body(httpx.AsyncByteStream):
    """The bytes of an answer as they come; closing it before its end closes the connection."""

    def __init__(self, answer: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._answer = answer
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _httpx_errors(self._request):
            async for data in self._answer.content.iter_any():
                yield data

    async def aclose(self) -> None:
        self._answer.close()


async def _note_kept(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
    context.trace_request_ctx.kept = True


@contextmanager
def _httpx_errors(request: httpx.Request) -> Iterator[None]:
    try:
        yield
    except aiohttp.ClientError as error:
        kind = next(theirs for ours, theirs in _ERRORS if isinstance(error, ours))
        raise kind(str(error) or type(error).__name__, request=request) from error
