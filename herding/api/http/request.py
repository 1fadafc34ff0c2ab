"""The parts of a request beside its body: principal, page, address and query; and whether its client is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

from herding.errors import UserError
from herding.values import Principal

Headers = Mapping[bytes, bytes]
UNKNOWN = "unknown"
WATCH_AFTER_SECONDS = 0.2
"""Most responses are ready before this, and need no task that waits for their client to disconnect."""


def principal_of(request: Request) -> Principal:
    """Return the principal that the authentication middleware found."""
    principal: Principal = request.state.principal
    return principal


async def get_principal(request: Request) -> Principal:
    """Return the principal of a request as a dependency. A route that has the request takes `principal_of` instead."""
    return principal_of(request)


Caller = Annotated[Principal, Depends(get_principal)]


def same_origin(headers: Headers) -> bool:
    """Return whether a request comes from our own page, or from no page at all.

    Browsers send one of these headers with every request of a page of another site, and no page can forge them.
    """
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site in (b"same-origin", b"none")
    origin = headers.get(b"origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin.decode("latin-1")).netloc == headers.get(b"host", b"").decode("latin-1")
    except ValueError:
        return False


def is_navigation(headers: Headers) -> bool:
    """Return whether a browser opens a page by a link or in a frame; no other page can read the response."""
    return headers.get(b"sec-fetch-mode") == b"navigate"


def accepts_html(scope: Scope, headers: Headers) -> bool:
    """Return whether a person waits for a page, rather than a program for data."""
    return scope.get("method") == "GET" and b"text/html" in headers.get(b"accept", b"")


def client_address(scope: Scope) -> str:
    """Return the IP address of the client; for IPv6 its /64 network, since one machine has many addresses there."""
    client = scope.get("client")
    return _normalize_address(str(client[0])) if client else UNKNOWN


@lru_cache(maxsize=4096)
def _normalize_address(text: str) -> str:
    host = text.partition("]")[0].lstrip("[") if text.startswith("[") else text
    if host.count(":") == 1:  # some proxies add the port
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else ":".join(address.exploded.split(":")[:4])
    return str(address)


def root_path(scope: Scope) -> str:
    """Return the path below which a proxy serves the app, such as `/herding`; empty at the root of a host."""
    return str(scope.get("state", {}).get("root_path", ""))


def route_path(scope: Scope) -> str:
    """Return the path of a request below the root path, in a route as in any middleware."""
    return get_route_path(scope)


class QueryCheck:
    """A dependency of all operations that refuses a query parameter which the operation does not have.

    A misspelt filter must not match everything.
    """

    def __init__(self) -> None:
        self._known: dict[Callable[..., Any], frozenset[str] | None] = {}

    async def __call__(self, request: Request) -> None:
        """Raise UserError for the first query parameter that is unknown."""
        if request.scope["query_string"]:
            self._check(request, request.scope["route"])

    def before(self, route: APIRoute) -> ASGIApp:
        """Return the app of a route with the check before it, which costs less than a dependency."""
        app = route.app

        def checked(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            if scope["query_string"]:
                self._check(Request(scope), route)
            return app(scope, receive, send)

        return checked

    def _check(self, request: Request, route: APIRoute) -> None:
        if route.endpoint not in self._known:
            self._known[route.endpoint] = _parameters(route)
        known = self._known[route.endpoint]
        unknown = None if known is None else next((name for name in request.query_params if name not in known), None)
        if known is not None and unknown is not None:
            names = ", ".join(sorted(known)) or "none"
            raise UserError(f"There is no query parameter '{unknown}' here. Parameters: {names}.", param=unknown)


def _parameters(route: APIRoute) -> frozenset[str] | None:
    """Return the names of the query parameters of an operation; None if they are free, such as variables."""
    described = (route.openapi_extra or {}).get("parameters", ())
    if any(parameter["in"] == "query" and parameter.get("explode") for parameter in described):
        return None
    fields = get_flat_params(route.dependant)
    return frozenset(field.alias for field in fields if isinstance(field.field_info, params.Query))


class ClientDisconnected(Exception):
    """The client closed the connection before its response was ready."""


class until_disconnect:
    """Cancels the work of a `with` block when the client disconnects, and then raises ClientDisconnected after it.

    The body of the request must have been read: further messages of `receive` are dropped.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._disconnected = False
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._worker = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, self._start_watch)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._timer.cancel()
        if self._watcher:
            self._watcher.cancel()
        is_ours = self._disconnected and isinstance(error, asyncio.CancelledError)
        if is_ours and self._worker and self._worker.uncancel() == 0:  # else somebody else cancelled the worker as well
            raise ClientDisconnected from None

    def _start_watch(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._disconnected = True
        if self._worker:
            self._worker.cancel()
