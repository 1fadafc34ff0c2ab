"""The HTTP transport of all nodes: httpx over the connections of aiohttp."""

from __future__ import annotations

import functools
import ssl
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from httpx_aiohttp import AiohttpTransport

MAX_CONNECTIONS = 256
KEEPALIVE_SECONDS = 15.0

_reused: ContextVar[bool] = ContextVar("reused")
"""True if the request of this task uses a kept-alive connection."""

_ERRORS: tuple[tuple[type[Exception], type[httpx.RequestError]], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol),
    (aiohttp.ClientOSError, httpx.ReadError),
    (aiohttp.ClientError, httpx.RemoteProtocolError),
)
"""The httpx error for each aiohttp error; the first match counts."""


class NodeTransport(AiohttpTransport):
    """Sends requests without redirects, cookies, decompression or credentials from the environment.

    Adds to httpx-aiohttp what its users would notice: exact error classes, because failover depends on them; one retry
    when the server closes a kept-alive connection before it responds; an error when a response breaks HTTP framing.
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
        context = context or _ssl_context()
        super().__init__(
            verify=context,
            proxy=_proxy(proxy) if proxy else None,
            client=functools.partial(_new_session, resolver, context),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response as soon as its head has arrived."""
        _reused.set(False)
        try:
            return await super().handle_async_request(request)
        except (httpx.TransportError, aiohttp.ClientError) as error:
            if not self._can_retry(error):
                raise _httpx_error(error, request) from error
        try:
            return await super().handle_async_request(request)
        except (httpx.TransportError, aiohttp.ClientError) as error:
            raise _httpx_error(error, request) from error

    def _can_retry(self, error: Exception) -> bool:
        disconnected = isinstance(error.__cause__, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
        closed = isinstance(self.client, aiohttp.ClientSession) and self.client.closed
        return disconnected and _reused.get() and not closed


class _Connector(aiohttp.TCPConnector):
    """Records in `_reused` whether a request gets a kept-alive connection."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        protocol: type[ResponseHandler] = _Protocol
        self._factory = functools.partial(protocol, loop=self._loop)
        self._used = WeakSet[ResponseHandler]()

    async def connect(self, *args: Any, **kwargs: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*args, **kwargs)
        if (protocol := connection.protocol) is not None:
            _reused.set(protocol in self._used)
            self._used.add(protocol)
        return connection


class _Protocol(ResponseHandler):
    """Ends a response that breaks HTTP framing; without this, aiohttp lets its reader wait forever.

    Resumes only what was paused: aiohttp resumes for each HTTP chunk that is read, a tenth of the cost of a response.
    """

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        super().set_exception(exc, *cause)
        body = self._payload
        if isinstance(exc, HttpProcessingError) and body is not None and not body.is_eof():
            body.set_exception(aiohttp.ClientPayloadError("The response breaks HTTP framing."), exc)

    def resume_reading(self, resume_parser: bool = True) -> None:
        if self._reading_paused:
            super().resume_reading(resume_parser)


def _new_session(resolver: AbstractResolver | None, context: ssl.SSLContext) -> aiohttp.ClientSession:
    connector = _Connector(
        limit=MAX_CONNECTIONS,
        keepalive_timeout=KEEPALIVE_SECONDS,
        ssl=context,
        resolver=resolver or aiohttp.ThreadedResolver(),
        use_dns_cache=resolver is None,
    )
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)


def _proxy(url: str) -> httpx.Proxy:
    """Return a proxy whose credentials are in a header, which aiohttp sends as Proxy-Authorization to it alone."""
    given = httpx.Proxy(url)
    if given.raw_auth is None:
        return given
    user, password = (part.decode() for part in given.raw_auth)
    return httpx.Proxy(given.url, headers={"Authorization": aiohttp.encode_basic_auth(user, password)})


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _httpx_error(error: Exception, request: httpx.Request) -> httpx.RequestError:
    cause = error if isinstance(error, aiohttp.ClientError) else error.__cause__
    kind = next((kind for source, kind in _ERRORS if isinstance(cause, source)), httpx.ReadError)
    return kind(_message(cause or error), request=request)


def _message(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy responded with HTTP {error.status} {error.message}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return (
            f"{error}. If its certificate is of a private authority, set ca_file of the node, or SSL_CERT_FILE, to a "
            "file with that authority"
        )
    return str(error) or type(error).__name__
