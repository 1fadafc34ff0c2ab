"""HTTP connections for httpx by aiohttp, which costs a fraction of httpx's own pool."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any, cast

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

KEPT_SECONDS = 15.0
"""How long a connection without a request stays open."""

Headers = Sequence[tuple[str, str]] | Mapping[str, str]

_kept: ContextVar[bool] = ContextVar("kept")
"""Whether a kept connection carries the request of this task."""

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


class Carrier(httpx.AsyncBaseTransport):
    """Carries httpx's requests, and others without httpx's objects around them, which take longer than the request."""

    @abstractmethod
    async def send(
        self, method: str, url: URL, *, headers: Headers, content: bytes, timeout: aiohttp.ClientTimeout
    ) -> Response:
        """The answer, as soon as its head is there; raises what httpx would."""


class Plain(Carrier):
    """Any other transport of httpx's as a carrier."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)

    async def send(
        self, method: str, url: URL, *, headers: Headers, content: bytes, timeout: aiohttp.ClientTimeout
    ) -> Response:
        patience = {"pool": timeout.connect, "connect": timeout.sock_connect, "read": timeout.sock_read}
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        extensions = {"timeout": patience}
        asked = httpx.Request(method, str(url), headers=pairs, content=content, extensions=extensions)
        return await self._inner.handle_async_request(asked)

    async def aclose(self) -> None:
        await self._inner.aclose()


class AiohttpTransport(Carrier):
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
        timeout, headers = request.extensions.get("timeout", {}), request.headers.multi_items()
        url, content = URL(str(request.url), encoded=True), await request.aread()
        try:
            answer = await self.send(request.method, url, headers=headers, content=content, timeout=patience(timeout))
        except httpx.RequestError as error:
            error.request = request
            raise
        return httpx.Response(answer.status_code, headers=answer.raw_headers, stream=_Body(answer, request))

    async def send(
        self, method: str, url: URL, *, headers: Headers, content: bytes, timeout: aiohttp.ClientTimeout
    ) -> Answer:
        asked: dict[str, Any] = {"headers": headers, "data": content or None, "timeout": timeout}
        session = self._opened()
        _kept.set(False)
        try:
            try:
                answer = await session.request(method, url, allow_redirects=False, **asked)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not _kept.get() or session.closed:  # we may have let go of the server as it died
                    raise
                answer = await session.request(method, url, allow_redirects=False, **asked)
        except aiohttp.ClientError as error:
            raise _as_httpx(error) from error
        return Answer(answer)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        """The session; made at first use, since it belongs to the running event loop."""
        if self._session is None:
            connector = _Connector(
                limit=self._max_connections,
                keepalive_timeout=KEPT_SECONDS,
                ssl=httpx.create_ssl_context(trust_env=False),
                resolver=self._resolver or aiohttp.ThreadedResolver(),
                use_dns_cache=self._resolver is None,
            )
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
            )
        return self._session


class Answer:
    """An open answer, with httpx's names; closing it before its end closes the connection."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.status_code = answer.status
        self.headers: Mapping[str, str] = answer.headers
        self.raw_headers = answer.raw_headers

    async def aiter_raw(self) -> AsyncIterator[bytes]:
        """The bytes as they come."""
        content = self._answer.content
        try:
            while data := await content.readany():
                yield data
        except aiohttp.ClientError as error:
            raise _as_httpx(error) from error

    async def aclose(self) -> None:
        """Let go of the connection."""
        self._answer.close()


Response = httpx.Response | Answer
"""An open answer."""


def patience(timeout: Mapping[str, float | None]) -> aiohttp.ClientTimeout:
    """httpx's deadlines in aiohttp's words."""
    return aiohttp.ClientTimeout(
        connect=timeout.get("pool"), sock_connect=timeout.get("connect"), sock_read=timeout.get("read")
    )


class _Body(httpx.AsyncByteStream):
    """The bytes of an answer for httpx."""

    def __init__(self, answer: Answer, request: httpx.Request) -> None:
        self._answer = answer
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._answer.aiter_raw():
                yield data
        except httpx.RequestError as error:
            error.request = self._request
            raise

    async def aclose(self) -> None:
        await self._answer.aclose()


class _Connector(aiohttp.TCPConnector):
    """Notes for each request whether a kept connection carries it; aiohttp's own tracing costs ten times as much."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        wire: type[ResponseHandler] = _Wire
        self._factory = partial(wire, loop=self._loop)

    async def connect(self, *request: Any, **how: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*request, **how)
        carrier = cast(_Wire, connection.protocol)
        _kept.set(carrier.used)
        carrier.used = True
        return connection


class _Wire(ResponseHandler):
    """Knows whether it was used, resumes only what was paused, and tells the reader of an answer that it is broken.

    aiohttp resumes for every chunk, which is a tenth of what reading an answer costs, and lets the reader of one whose
    bytes are no HTTP any more wait for ever.
    """

    used = False

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        super().set_exception(exc, *cause)
        body = self._payload
        if isinstance(exc, HttpProcessingError) and body is not None and not body.is_eof():
            body.set_exception(aiohttp.ClientPayloadError("The answer breaks the protocol."), exc)

    def resume_reading(self, resume_parser: bool = True) -> None:
        if self._reading_paused:
            super().resume_reading(resume_parser)


def _as_httpx(error: aiohttp.ClientError) -> httpx.RequestError:
    kind = next(theirs for ours, theirs in _ERRORS if isinstance(error, ours))
    return kind(str(error) or type(error).__name__)
