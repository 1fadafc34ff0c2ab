"""Limits on request bodies, by principal and route, before anything parses them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from herding.access.login_throttle import AddressThrottle
from herding.api.http.errors import Problem, problem_of
from herding.api.http.request import Headers
from herding.api.middleware.authentication import LOGIN, LOGOUT
from herding.errors import LimitError
from herding.values import Principal

MAX_SMALL_BODY = 2_000_000
"""Bytes of a body on routes that take no images, files or many texts."""

LARGE_ROUTES = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/rerank",
    "/api/v1/chat/completions",
    "/api/v1/infer",
    "/api/v1/prompts.zip",
)

UPLOADS = ("/api/v1/collections/", "/ui/knowledge/collections/")
"""The beginnings of routes that take documents."""

PARSED_ALONE = 200_000
"""Bytes from which a JSON body is looked at before it is parsed, and parsed while no other is."""

MAX_STRINGS = 50_000
MAX_COMMAS = 1_000_000
"""The most texts and values in such a body: parsing more would delay the requests of all others."""

LINGER_SECONDS = 2.0
"""Seconds for which the rest of a refused body is read, so that its sender reads the refusal."""

REFUSED_PER_MINUTE = 120
BYTES_PER_UNIT = 50_000
"""A refused request of a guest counts one unit, and one more for each of these that were parsed."""

_REFUSED = frozenset({400, 413, 415, 422})
_COMPRESSED = Problem(415, "refused", "Send the request body without compression and without Content-Encoding.")


class _TooLarge(Exception):
    """The body exceeded the limit while it was read."""


class BodiesMiddleware:
    """ASGI middleware, inside of authentication: refuses bodies that are too large for their sender and route.

    Refused bodies of guests count against their address. `max_body` bounds all limits, in bytes.
    """

    def __init__(self, app: ASGIApp, *, max_body: int, max_guest_body: int) -> None:
        self._app = app
        self._max_body, self._max_guest_body = max_body, min(max_guest_body, max_body)
        self._refused = AddressThrottle(
            time.monotonic,
            "Too many refused requests from your address. Correct the request and wait a minute.",
            per_address=REFUSED_PER_MINUTE,
        )
        self._turn = asyncio.Lock()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        headers = dict(scope["headers"])
        length = headers.get(b"content-length")
        if length == b"0" or (length is None and b"transfer-encoding" not in headers):
            return self._app(scope, receive, send)
        who: Principal = scope["state"]["principal"]
        if who.account and scope["path"] not in (LOGIN, LOGOUT):
            address = scope["state"]["address"]
            try:
                self._refused.check(address)
            except LimitError as error:
                return _refuse(scope, receive, send, problem_of(error))
            send = self._counting(send, address, int(length) if length and length.isdigit() else 0)
        if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
            return _refuse(scope, receive, send, _COMPRESSED)
        most = self._limit(scope, who)
        if length is not None:
            if not (length.isdigit() and int(length) <= most):
                return _refuse(scope, receive, send, _too_large(most))
            if int(length) < PARSED_ALONE or not _is_json(headers):
                return self._app(scope, receive, send)  # the server reads no more than that
        return self._read_first(scope, receive, send, most=most, is_json=_is_json(headers))

    def _limit(self, scope: Scope, who: Principal) -> int:
        if who.account:
            return self._max_guest_body
        path: str = scope["path"]
        large = path in LARGE_ROUTES or (path.startswith(UPLOADS) and path.endswith("/documents"))
        return self._max_body if large else min(MAX_SMALL_BODY, self._max_body)

    async def _read_first(self, scope: Scope, receive: Receive, send: Send, *, most: int, is_json: bool) -> None:
        """Read a body of unknown length, or one that is long to parse, before the app gets it."""
        try:
            body = await _read(receive, most)
        except _TooLarge:
            await _refuse(scope, receive, send, _too_large(most))
            return
        if body is None:
            return
        if len(body) >= PARSED_ALONE and is_json:
            if _has_too_much(body):
                message = f"The body has too many values. Send at most {MAX_STRINGS:,} texts in a request."
                await _refuse(scope, receive, send, Problem(413, "refused", message))
                return
            async with self._turn:  # the loop serves others between the parsing of two large bodies
                await asyncio.sleep(0)
        await self._app(scope, _replay(body, receive), send)

    def _counting(self, send: Send, address: str, length: int) -> Send:
        async def send_and_count(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in _REFUSED:
                parsed = length if message["status"] != 413 else 0
                self._refused.record_failure(address, weight=1 + parsed // BYTES_PER_UNIT)
            await send(message)

        return send_and_count


def _too_large(most: int) -> Problem:
    return Problem(413, "refused", f"The request body is too large. Send at most {most:,} bytes.")


def _is_json(headers: Headers) -> bool:
    return b"json" in headers.get(b"content-type", b"").lower()


def _has_too_much(body: bytes) -> bool:
    strings = (body.count(b'"') - body.count(b'\\"')) // 2
    return strings > MAX_STRINGS or body.count(b",") > MAX_COMMAS


async def _read(receive: Receive, most: int) -> bytes | None:
    """Return the whole body; None if its sender left. Raises _TooLarge."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > most:
            raise _TooLarge
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that begins with a body that was read."""
    message: Message | None = {"type": "http.request", "body": body, "more_body": False}

    async def receive_again() -> Message:
        nonlocal message
        if message is None:
            return await receive()
        first, message = message, None
        return first

    return receive_again


async def _refuse(scope: Scope, receive: Receive, send: Send, problem: Problem) -> None:
    """Send a refusal, then read on for a while: a sender whose connection is closed at once would not read it."""
    response = problem.response(Request(scope))
    response.headers["connection"] = "close"

    async def send_but_stay(message: Message) -> None:
        await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

    await response(scope, receive, send_but_stay)
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
                pass
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})
