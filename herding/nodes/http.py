"""HTTP requests to nodes, with failures as NodeErrors."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from http.cookiejar import DefaultCookiePolicy
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
    ReportedError,
    StatusError,
    StreamInterruptedError,
)
from herding.nodes.base import Deadlines
from herding.nodes.redact import redact
from herding.nodes.responses import retry_hints
from herding.nodes.responses.decompress import body_of
from herding.nodes.responses.reported_error import read_error, read_error_text
from herding.nodes.transport import NodeTransport

to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

MAX_SMALL_BODY = 64_000
MAX_HEADERS = 50
MAX_HEADER_CHARS = 8_000

_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
_NO_MODEL = re.compile(
    r"\bmodel\b.{0,200}\b(does not exist|doesn't exist|not found|no such)|\b(unknown|no such) model\b", re.IGNORECASE
)
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
        if isinstance(error, StatusError) and secret:
            error.reported = replace(error.reported, message=redact(error.reported.message, secret))
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
    """Send a request and return its response with a status of success; raise NodeErrors otherwise.

    The caller closes the response, and reads it with `herding.nodes.responses.decompress.body_of`. Works below
    `httpx.AsyncClient`, whose redirects, cookies and hooks take longer than the request itself.
    """
    response = await transport.handle_async_request(request)
    try:
        if not 200 <= response.status_code < 300:  # some servers respond with 201 to a POST
            raise await status_error(response, node)
    except BaseException:
        await response.aclose()
        raise
    return response


async def status_error(response: httpx.Response, node: str) -> NodeError:
    """Return the NodeError for a response with an error status, in the words of the server."""
    status = response.status_code
    if 300 <= status < 400:
        target = response.headers.get("location", "").partition("?")[0][:200]
        to = f" to {target}" if target.isascii() and target.isprintable() and target else ""
        message = (
            f"Node '{node}' sent a redirect (HTTP {status}){to}, which is not followed. Set its URL to the target."
        )
        return BadResponseError(message, node=node)
    try:
        body = await small_body(response)
    except BadResponseError:  # an encoding that nobody asked for hides the words, but not the status
        body = b""
    reported = read_error_text(body, is_html=content_type(response) == "text/html")
    return error_of(reported, node, status=status, headers=response.headers)


def error_of(
    reported: ReportedError, node: str, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> NodeError:
    """Return the NodeError for an error that a server reports, with an error status or, if None, within a response."""
    subject, words = (f"Node '{node}'" if node else "The node"), reported.message.rstrip(".") or "an error"
    found = status or reported.status
    if found is None:
        return BadResponseError(f"{subject} reported: {words}.", node=node or None)
    if found == 401:
        reason = f": {words}" if reported.message else ""
        message = f"{subject} rejected our credentials (HTTP 401){reason}. An operator must check its key."
        return MisconfiguredError(message, node=node or None)
    if status is None:
        message = f"{subject} reported: {words}."
    else:
        message = f"{subject} responded with HTTP {status}" + (f": {words}." if reported.message else ".")
    wait = retry_hints.retry_after(headers) if headers is not None else None
    wait = reported.retry_after if wait is None else wait
    visible = retry_hints.visible_headers(headers) if headers is not None else {}
    if _misses_model(found, reported):
        return NoModelError(message, status=found, node=node or None, reported=reported, headers=visible)
    return errors.status_error(
        message, status=found, node=node or None, retry_after=wait, reported=reported, headers=visible
    )


def _misses_model(status: int, reported: ReportedError) -> bool:
    if status == 404:
        return "model" in f"{reported.message} {reported.code}".lower()
    said = f"{reported.code} {reported.type}".lower().replace("_", "").replace("-", "")
    return status in (400, 422) and ("modelnotfound" in said or bool(_NO_MODEL.search(reported.message)))


async def small_body(response: httpx.Response) -> bytes:
    """Return the first `MAX_SMALL_BODY` bytes. Raises BadResponseError for an unknown compression."""
    body = b""
    async for chunk in body_of(response):
        body += chunk
        if len(body) > MAX_SMALL_BODY:
            break
    return body[:MAX_SMALL_BODY]


def error_message(data: object) -> str:
    """Return the words of an error in parsed JSON; empty if there are none."""
    return read_error(data).message


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
