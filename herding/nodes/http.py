"""HTTP to nodes: one careful client a node, and its failures as NodeErrors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpx
from multidict import CIMultiDict
from yarl import URL

from herding import errors
from herding.errors import (
    BadResponseError,
    ConnectError,
    DeadlineError,
    HerdingError,
    MisconfiguredError,
    NodeError,
    NoModelError,
    StreamInterruptedError,
)
from herding.nodes.base import Deadlines
from herding.nodes.redact import scrubbed
from herding.nodes.transport import AiohttpTransport, Carrier, Plain, Response, patience

to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

MAX_CONNECTIONS = 256
MAX_SMALL = 64_000
MAX_WAIT = 86_400.0
"""Seconds that a node may ask to be left alone for; whoever says more, or infinitely many, means a day."""


def carrier() -> AiohttpTransport:
    """What carries requests where nothing else is given."""
    return AiohttpTransport(max_connections=MAX_CONNECTIONS)


def client(
    deadlines: Deadlines, *, transport: httpx.AsyncBaseTransport | None = None, **options: Any
) -> httpx.AsyncClient:
    """A client for one node: no proxies or credentials from the environment, no redirects, cookies or compression.

    The caller sets deadlines on the answer itself; here they bound only what httpx can see.
    """
    timeout = httpx.Timeout(deadlines.first_token, connect=deadlines.connect)
    headers = {"Accept-Encoding": "identity", **options.pop("headers", {})}
    made = httpx.AsyncClient(
        timeout=timeout,
        headers=headers,
        trust_env=False,
        follow_redirects=False,
        transport=transport or carrier(),
        **options,
    )
    made.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return made


@contextmanager
def node_errors(node: str, *, secret: str | None = None) -> Iterator[None]:
    """Turn what httpx raises into NodeErrors of `node`; name the node in those raised below.

    No error repeats `secret`, which the server may have quoted.
    """
    try:
        yield
    except HerdingError as error:
        if isinstance(error, NodeError):
            error.node = error.node or node
        error.message = scrubbed(error.message, secret)
        error.args = (error.message,)
        raise
    except (httpx.ConnectTimeout, httpx.PoolTimeout):
        raise ConnectError(f"Node '{node}' did not accept a connection in time.", node=node) from None
    except httpx.TimeoutException:
        raise DeadlineError(f"Node '{node}' did not answer in time.", node=node) from None
    except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.ProxyError) as error:
        raise ConnectError(f"Node '{node}' cannot be reached: {_plain(error)}.", node=node) from None
    except httpx.TransportError:
        raise StreamInterruptedError(
            f"Node '{node}' closed the connection before its answer was complete.", node=node
        ) from None
    except httpx.DecodingError:
        raise BadResponseError(f"Node '{node}' sent an answer that cannot be decoded.", node=node) from None


@asynccontextmanager
async def within(seconds: float, *, node: str) -> AsyncIterator[None]:
    """A deadline for a whole exchange with `node`; those of httpx begin anew with each byte that comes."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise DeadlineError(f"Node '{node}' did not answer in time.", node=node) from None


@asynccontextmanager
async def opened(
    transport: httpx.AsyncBaseTransport, request: httpx.Request, *, node: str
) -> AsyncIterator[httpx.Response]:
    """An open response of success that is not compressed; anything else becomes a NodeError."""
    response = await transport.handle_async_request(request)
    try:
        await _check(response, node)
        yield response
    finally:
        await response.aclose()


class Posts:
    """Posts JSON to one server, as its `client` would.

    It leaves out what httpx does around a request and a node has no use for (cookies, credentials, redirects, hooks,
    putting URLs together): that takes longer than the request itself. Whoever reads an answer has a deadline for it.
    """

    def __init__(self, client: httpx.AsyncClient, transport: httpx.AsyncBaseTransport) -> None:
        self._base = str(client.base_url).rstrip("/")
        self._carrier = transport if isinstance(transport, Carrier) else Plain(transport)
        host = client.base_url.netloc.decode("ascii")
        self._headers = CIMultiDict([("Host", host), *client.headers.items(), ("Content-Type", "application/json")])
        self._patience = patience(client.timeout.as_dict() | {"read": None})
        self._urls: dict[str, URL] = {}

    @asynccontextmanager
    async def post(self, path: str, body: Mapping[str, Any], *, node: str) -> AsyncIterator[Response]:
        """An open answer of success to a JSON body; other statuses become NodeErrors."""
        url = self._urls.get(path) or self._urls.setdefault(path, URL(str(httpx.URL(self._base + path)), encoded=True))
        content = to_json(body).encode()
        answer = await self._carrier.send("POST", url, headers=self._headers, content=content, timeout=self._patience)
        try:
            await _check(answer, node)
            yield answer
        finally:
            await answer.aclose()


async def _check(response: Response, node: str) -> None:
    """A NodeError for any status but those of success (some servers say 201 to a POST), and for what is compressed."""
    if not 200 <= response.status_code < 300:
        raise await status_error(response, node)
    if response.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        message = f"Node '{node}' sent a compressed answer, which it was not asked for."
        raise BadResponseError(message, node=node)


async def status_error(response: Response, node: str) -> NodeError:
    """The NodeError for a response with an error status."""
    status, said = response.status_code, await _said(response)
    if status in (401, 403):
        message = f"Node '{node}' refuses our credentials (HTTP {status}). An operator must check its key."
        return MisconfiguredError(message, node=node)
    if 300 <= status < 400:
        return BadResponseError(
            f"Node '{node}' answered with a redirect (HTTP {status}), which is not followed.", node=node
        )
    message = f"Node '{node}' answered HTTP {status}" + (f": {said}" if said else ".")
    if status == 404 and "model" in said.lower():
        return NoModelError(message, status=status, node=node)
    return errors.status_error(message, status=status, node=node, retry_after=_retry_after(response))


async def small_body(response: Response) -> bytes:
    """The first `MAX_SMALL` bytes of a response, which are enough for an error, and for what an engine tells.

    They are taken as they are: a compressed body could grow without end.
    """
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_SMALL:
            break
    return body[:MAX_SMALL]


def message_in(data: Any) -> str:
    """The words of an error in the usual JSON shapes; empty if there are none."""
    error = data.get("error", data.get("detail", data.get("message"))) if isinstance(data, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return " ".join(str(error).split())[:300] if error else ""


async def _said(response: Response) -> str:
    try:
        data = httpx.Response(200, content=await small_body(response)).json()
    except (ValueError, RecursionError):
        return ""
    return message_in(data)


def _retry_after(response: Response) -> float | None:
    """Seconds until the node wants to be asked again, which it may tell as a date too."""
    value = response.headers.get("retry-after", "")
    if value.isascii() and value.replace(".", "", 1).isdigit():
        return min(float(value), MAX_WAIT)
    try:
        return min(max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()), MAX_WAIT)
    except (ValueError, TypeError, OverflowError):
        return None


def _plain(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
