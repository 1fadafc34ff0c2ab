"""Where a request comes from: its principal, page and address; and whether its client is still connected."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette._utils import get_route_path
from starlette.types import Receive, Scope

from herding.values import Principal

T = TypeVar("T")
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


class ClientDisconnected(Exception):
    """The client closed the connection before its response was ready."""


async def run_until_disconnect(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`, which is cancelled when the client disconnects.

    The body of the request must have been read: further messages of `receive` are dropped. Raises ClientDisconnected
    after `work` has ended.
    """
    worker, disconnected = asyncio.current_task(), False
    watcher: asyncio.Task[None] | None = None

    async def watch() -> None:
        nonlocal disconnected
        while (await receive())["type"] != "http.disconnect":
            pass
        disconnected = True
        if worker:
            worker.cancel()

    def start_watch() -> None:
        nonlocal watcher
        watcher = asyncio.create_task(watch())

    timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, start_watch)
    try:
        return await work
    except asyncio.CancelledError:
        if disconnected and worker and worker.uncancel() == 0:  # else somebody else cancelled the worker as well
            raise ClientDisconnected from None
        raise
    finally:
        timer.cancel()
        if watcher:
            watcher.cancel()
