"""The HTTP transport of all nodes: httpx over the connections of aiohttp."""

from __future__ import annotations

import functools
import os
import ssl
from contextvars import ContextVar
from typing import Any, Self

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

MAX_CONNECTIONS = 256
KEEPALIVE_SECONDS = 15.0
HEADER_ENCODING = "latin-1"
"""The encoding of headers in HTTP; without it, httpx tries out several for each response."""

_reused: ContextVar[bool] = ContextVar("reused")
"""True if the request of this task uses a kept-alive connection."""

_ERRORS: tuple[tuple[type[Exception], type[httpx.RequestError]], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol),
    (aiohttp.ClientPayloadError, httpx.ReadError),
    (aiohttp.ClientOSError, httpx.ReadError),
    (aiohttp.ClientError, httpx.RemoteProtocolError),
)
"""The httpx error for each aiohttp error; the first match counts."""


class NodeTransport(httpx.AsyncBaseTransport):
    """Sends requests without redirects, cookies, decompression or credentials from the environment.

    Errors have exact classes, because failover depends on them. A request is sent once more when the server closes a
    kept-alive connection before it responds. A response that breaks HTTP framing ends with an error.
    `resolver` looks up the host of every new connection. `context` has the certificate authorities. With `proxy`, the
    URL of an HTTP proxy, all requests go through it; it looks up the hosts then.
    """

    def __init__(
        self,
        *,
        resolver: AbstractResolver | None = None,
        context: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        self._resolver, self._context = resolver, context or _ssl_context()
        self.proxy = proxy
        self._proxy_options = _proxy_options(proxy) if proxy else {}
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response as soon as its head has arrived."""
        body = request.stream  # `request.aread` takes as long as all else here
        content = b"".join(body) if isinstance(body, httpx.ByteStream) else await request.aread()
        try:
            response = await self._send(request, content)
        except aiohttp.ClientError as error:
            raise _httpx_error(error) from error
        made = httpx.Response(response.status, headers=response.raw_headers, stream=_Body(response), request=request)
        made.headers.encoding = HEADER_ENCODING
        return made

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()

    async def _send(self, request: httpx.Request, content: bytes) -> aiohttp.ClientResponse:
        """Send a request, once more if a kept-alive connection turns out to be closed."""
        timeout = request.extensions.get("timeout", {})
        self._session = session = self._session or self._open()
        raw = request.headers.raw
        send = functools.partial(
            session.request,
            request.method,
            str(request.url),
            headers=[(name.decode(HEADER_ENCODING), value.decode(HEADER_ENCODING)) for name, value in raw],
            data=content or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                connect=timeout.get("pool"), sock_connect=timeout.get("connect"), sock_read=timeout.get("read")
            ),
            **self._proxy_options,
        )
        _reused.set(False)
        try:
            return await send()
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if not _reused.get() or session.closed:
                raise
            return await send()

    def _open(self) -> aiohttp.ClientSession:
        connector = _Connector(
            limit=MAX_CONNECTIONS,
            keepalive_timeout=KEEPALIVE_SECONDS,
            ssl=self._context,
            resolver=self._resolver or aiohttp.ThreadedResolver(),
            use_dns_cache=self._resolver is None,
        )
        jar = aiohttp.DummyCookieJar()
        return aiohttp.ClientSession(connector=connector, cookie_jar=jar, trust_env=False, auto_decompress=False)


class _Body(httpx.AsyncByteStream):
    """The body of a response, as the server sends it; an iterator of what has arrived."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response, self._content = response, response.content

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._content.readany()
        except aiohttp.ClientError as error:
            raise _httpx_error(error) from error
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        self._response.release()
        await self._response.wait_for_close()


class _Connector(aiohttp.TCPConnector):
    """Records in `_reused` whether a request gets a kept-alive connection."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        protocol: type[ResponseHandler] = _Protocol
        self._factory = functools.partial(protocol, loop=self._loop)

    async def connect(self, *args: Any, **kwargs: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*args, **kwargs)
        if isinstance(protocol := connection.protocol, _Protocol):
            _reused.set(protocol.used)
            protocol.used = True
        return connection


class _Protocol(ResponseHandler):
    """Ends a response that breaks HTTP framing; without this, aiohttp lets its reader wait forever.

    Resumes only what was paused: aiohttp resumes for each HTTP chunk that is read, a tenth of the cost of a response.
    """

    used = False
    """True from the first request on."""

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        super().set_exception(exc, *cause)
        body = self._payload
        if isinstance(exc, HttpProcessingError) and body is not None and not body.is_eof():
            body.set_exception(aiohttp.ClientPayloadError("The response breaks HTTP framing."), exc)

    def resume_reading(self, resume_parser: bool = True) -> None:
        if self._reading_paused:
            super().resume_reading(resume_parser)


def _proxy_options(url: str) -> dict[str, Any]:
    """Return the options for a proxy; its credentials are in a header, which aiohttp sends to it alone."""
    given = httpx.Proxy(url)
    options: dict[str, Any] = {"proxy": str(given.url)}
    if given.raw_auth is not None:
        user, password = (part.decode() for part in given.raw_auth)
        options["proxy_headers"] = {"Authorization": aiohttp.encode_basic_auth(user, password)}
    return options


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _httpx_error(error: aiohttp.ClientError) -> httpx.RequestError:
    return next(kind for source, kind in _ERRORS if isinstance(error, source))(_message(error))


def _message(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy responded with HTTP {error.status} {error.message}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return (
            f"{error}. If its certificate is of a private authority, set ca_file of the node, or SSL_CERT_FILE, to a "
            "file with that authority"
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        why = error.strerror or str(error.os_error)
        if error.errno and why.startswith("Connect call failed"):  # the words of asyncio, for every reason
            why = os.strerror(error.errno)
        return f"{why} ({error.host}:{error.port})"
    return str(error) or type(error).__name__
