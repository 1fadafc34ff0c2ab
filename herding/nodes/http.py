"""HTTP requests to nodes, with failures as NodeErrors."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import quote

import httpx

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
from herding.nodes.redact import redact
from herding.nodes.transport import NodeTransport

to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

MAX_SMALL_BODY = 64_000
HEADER_ENCODING = "latin-1"
"""The encoding of headers in HTTP; without it, httpx tries out several for each request and response."""

MAX_RETRY_AFTER = 86_400.0
"""The longest pause in seconds that a node may ask for."""

MAX_HEADERS = 50
MAX_HEADER_CHARS = 8_000

_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_RESERVED_HEADERS = {
    *("host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect"),
    *("accept-encoding", "proxy-authorization", "proxy-connection"),
}


def client(
    deadlines: Deadlines,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    base_url: str = "",
    headers: Mapping[str, str] | None = None,
) -> httpx.AsyncClient:
    """Return a client for one node without proxies, credentials, redirects, cookies or compression.

    Its timeouts bound only connecting and each single read; the caller sets a deadline for the whole response.
    """
    made = httpx.AsyncClient(
        timeout=httpx.Timeout(deadlines.first_token, connect=deadlines.connect),
        headers={"Accept-Encoding": "identity", **(headers or {})},
        trust_env=False,
        follow_redirects=False,
        transport=transport or NodeTransport(),
        base_url=base_url,
    )
    made.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return made


@contextmanager
def node_errors(node: str, *, secret: str | None = None) -> Iterator[None]:
    """Raise httpx errors as NodeErrors of `node`, add the node to other NodeErrors, and redact `secret` in messages."""
    try:
        yield
    except HerdingError as error:
        if isinstance(error, NodeError):
            error.node = error.node or node
        error.message = redact(error.message, secret)
        error.args = (error.message,)
        raise
    except (httpx.ConnectTimeout, httpx.PoolTimeout):
        raise ConnectError(f"Node '{node}' did not accept a connection in time.", node=node) from None
    except httpx.TimeoutException:
        raise DeadlineError(f"Node '{node}' did not respond in time.", node=node) from None
    except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.ProxyError) as error:
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise ConnectError(f"Can't reach node '{node}': {reason}.", node=node) from None
    except httpx.TransportError:
        message = f"Node '{node}' closed the connection before its response was complete."
        raise StreamInterruptedError(message, node=node) from None
    except httpx.DecodingError:
        raise BadResponseError(f"Node '{node}' sent a response that can't be decoded.", node=node) from None


@asynccontextmanager
async def within(seconds: float, *, node: str) -> AsyncIterator[None]:
    """Limit a whole exchange with `node`; the timeouts of httpx restart with each byte received."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise DeadlineError(f"Node '{node}' did not respond in time.", node=node) from None


async def open_response(transport: httpx.AsyncBaseTransport, request: httpx.Request, *, node: str) -> httpx.Response:
    """Send a request and return its uncompressed response with a status of success; raise NodeErrors otherwise.

    The caller closes the response. Works below `httpx.AsyncClient`, whose redirects, cookies and hooks take longer
    than the request itself.
    """
    request.headers.encoding = HEADER_ENCODING
    response = await transport.handle_async_request(request)
    response.headers.encoding = HEADER_ENCODING
    try:
        if not 200 <= response.status_code < 300:  # some servers respond with 201 to a POST
            raise await status_error(response, node)
        if response.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
            raise BadResponseError(f"Node '{node}' sent a compressed response without being asked to.", node=node)
    except BaseException:
        await response.aclose()
        raise
    return response


async def status_error(response: httpx.Response, node: str) -> NodeError:
    """Return the NodeError for a response with an error status."""
    status, detail = response.status_code, await _error_detail(response)
    if status in (401, 403):
        message = f"Node '{node}' rejected our credentials (HTTP {status}). An operator must check its key."
        return MisconfiguredError(message, node=node)
    if 300 <= status < 400:
        return BadResponseError(f"Node '{node}' sent a redirect (HTTP {status}), which is not followed.", node=node)
    message = f"Node '{node}' responded with HTTP {status}" + (f": {detail}" if detail else ".")
    if status == 404 and "model" in detail.lower():
        return NoModelError(message, status=status, node=node)
    return errors.status_error(message, status=status, node=node, retry_after=_retry_after(response))


async def small_body(response: httpx.Response) -> bytes:
    """Return the first `MAX_SMALL_BODY` bytes, not decompressed, since a compressed body could grow without end."""
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_SMALL_BODY:
            break
    return body[:MAX_SMALL_BODY]


def error_message(data: Any) -> str:
    """Return the message of an error in the usual JSON shapes; empty if there is none."""
    error = data.get("error", data.get("detail", data.get("message"))) if isinstance(data, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return " ".join(str(error).split())[:300] if error else ""


def content_type(response: httpx.Response) -> str:
    """Return the media type of a response without its parameters; empty if there is none."""
    return str(response.headers.get("content-type", "")).split(";")[0].strip().lower()


def is_header_value(value: str) -> bool:
    """True if a header can carry `value`."""
    return value.isascii() and (value.isprintable() or not value) and len(value) <= MAX_HEADER_CHARS


def encode_header_value(text: str) -> str:
    """Percent-encode the characters that a header cannot carry."""
    return quote(text, safe=_PRINTABLE, errors="replace")


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return `headers`; raise ValueError for invalid names and values and for headers that HTTP itself sets."""
    if len(headers) > MAX_HEADERS:
        raise ValueError(f"at most {MAX_HEADERS} headers are allowed")
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"'{name}' is not a valid header name")
        if name.lower() in _RESERVED_HEADERS:
            raise ValueError(f"the header {name} can't be set")
        if not is_header_value(value):
            raise ValueError(f"the header {name} has invalid characters")
    if len({name.lower() for name in headers}) != len(headers):
        raise ValueError("a header is given twice")
    return dict(headers)


async def _error_detail(response: httpx.Response) -> str:
    try:
        data = httpx.Response(200, content=await small_body(response)).json()
    except (ValueError, RecursionError):
        return ""
    return error_message(data)


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of a Retry-After header, which may be a number or a date."""
    value = response.headers.get("retry-after", "")
    if value.isascii() and value.replace(".", "", 1).isdigit():
        return min(float(value), MAX_RETRY_AFTER)
    try:
        seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER)
