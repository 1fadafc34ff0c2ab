"""Where nodes that were added at run time may send requests: nowhere that the operator did not mean to open."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from herding.errors import UserError
from herding.nodes import http
from herding.nodes.origin import Address, Origin, origin_of
from herding.nodes.transport import AiohttpTransport, Carrier, Response

Resolve = Callable[[str, int, socket.AddressFamily], Awaitable[list[ResolveResult]]]
"""Looks a host up as aiohttp's resolvers do; OSError where it has no address."""

LOOKUP_SECONDS = 5.0

_NAT64 = ip_network("64:ff9b::/96")
_TUNNELS = tuple(map(IPv6Network, ("::/96", "2002::/16", "2001::/32", "64:ff9b:1::/48")))
_METADATA = {ip_address("168.63.129.16"), ip_address("100.100.100.200"), ip_address("192.0.0.192")}
"""Addresses at which clouds tell a machine its own secrets, beside 169.254.0.0/16."""


class SsrfGuard:
    """Says which addresses are open.

    `allowed` are the operator's own: `host`, `host:port` or `scheme://host:port`, and whatever address such a host has
    is open. Beside them, public addresses are, and with `loopback` this machine's, named as such.
    """

    def __init__(self, *, allowed: Sequence[str] = (), loopback: bool = False, resolve: Resolve | None = None) -> None:
        self._allowed = frozenset(entry.lower().rstrip("/") for entry in allowed)
        self._loopback = loopback
        self._resolve = resolve or _looked_up

    def check(self, url: str) -> Origin:
        """The origin of a URL that may be used as far as it tells itself; UserError for any other."""
        try:
            origin = origin_of(url)
        except ValueError as error:
            raise UserError(f"This URL cannot be used: {error}.", param="url") from None
        if origin.address is not None and (words := self.refusal(origin, origin.address, literal=True)):
            raise UserError(words, param="url")
        return origin

    async def look(self, url: str) -> Origin:
        """`check`, and that of every address the host has now; a host that has none yet may get one later."""
        origin = self.check(url)
        if origin.address is None:
            try:
                async with asyncio.timeout(LOOKUP_SECONDS):
                    found = await self.resolve(origin)
            except OSError:
                return origin
            for address in found:
                if words := self.refusal(origin, address):
                    raise UserError(words, param="url")
        return origin

    async def resolve(self, origin: Origin) -> list[Address]:
        """The addresses of a host; OSError where it has none."""
        found = await self._resolve(origin.host, origin.port, socket.AF_UNSPEC)
        return [ip_address(one["host"].partition("%")[0]) for one in found]

    def refusal(self, origin: Origin, address: Address, *, literal: bool = False) -> str | None:
        """Why a request to `origin` may not go to `address`, None where it may; `literal` if the URL has it so."""
        if self._opened(origin):
            return None
        if self._loopback and address.is_loopback and (literal or origin.host == "localhost"):
            return None
        if kind := _kind(address, literal=literal):
            entry = f"{origin.host}:{origin.port}" if ":" not in origin.host else f"[{origin.host}]:{origin.port}"
            where = str(address) if literal else f"{origin.host} is at {address}, which"
            advice = f'An operator can allow it: HERDING_ALLOWED_HOSTS=["{entry}"].'
            return f"{where} is {kind}, and closed to nodes that are added while Herding runs. {advice}"
        return None

    def carrier(self, url: str) -> Carrier:
        """What carries requests to the origin of `url`, and to nothing else."""
        return _GuardedTransport(self, self.check(url))

    async def checked(self, origin: Origin, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        """What `resolve` finds, if every address is open; OSError where not."""
        found = await self._resolve(host, port, family)
        for one in found:
            if words := self.refusal(origin, ip_address(one["host"].partition("%")[0])):
                raise OSError(errno.EACCES, words)
        return found

    def _opened(self, origin: Origin) -> bool:
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        return not self._allowed.isdisjoint({origin.host, host, f"{host}:{origin.port}", str(origin)})


class _GuardedTransport(Carrier):
    """Checks each request, and each address before a connection to that very address is made."""

    def __init__(self, guard: SsrfGuard, origin: Origin) -> None:
        self._guard, self._origin = guard, origin
        resolver = _GuardedResolver(guard, origin)
        self._inner = AiohttpTransport(max_connections=http.MAX_CONNECTIONS, resolver=resolver)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._check(str(request.url))
        return await self._inner.handle_async_request(request)

    async def send(self, method: str, url: URL, **how: Any) -> Response:
        self._check(str(url))
        return await self._inner.send(method, url, **how)

    def _check(self, url: str) -> None:
        try:
            origin = self._guard.check(url)
        except UserError as error:
            raise httpx.ConnectError(error.message) from None
        if origin != self._origin:
            raise httpx.ConnectError(f"{origin} is not where this node is")

    async def aclose(self) -> None:
        await self._inner.aclose()


class _GuardedResolver(AbstractResolver):
    def __init__(self, guard: SsrfGuard, origin: Origin) -> None:
        self._guard, self._origin = guard, origin

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return await self._guard.checked(self._origin, host, port, family)

    async def close(self) -> None:
        """It holds nothing."""


async def _looked_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    return await aiohttp.ThreadedResolver().resolve(host, port, family)


def _kind(address: Address, *, literal: bool) -> str | None:
    """What is wrong with an address, None for a public one."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or (_last_32(address) if address in _NAT64 else None)
        if inner is not None:
            return "an IPv4 address in disguise" if literal else _kind(inner, literal=False)
        if any(address in tunnel for tunnel in _TUNNELS) and not address.is_loopback and int(address) != 0:
            return "an IPv4 address in disguise"
    if address in _METADATA or address.is_link_local:
        return "where clouds keep a machine's secrets"
    if address.is_loopback:
        return "on this machine"
    if address.is_multicast or address.is_reserved or address.is_unspecified:
        return "no address of one machine"
    return None if address.is_global else "in a private network"


def _last_32(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)
