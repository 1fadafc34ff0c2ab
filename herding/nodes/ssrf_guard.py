"""Limits the addresses that nodes added at run time may use, against server-side request forgery."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult

from herding.errors import UserError
from herding.nodes.network import Network
from herding.nodes.origin import Address, Origin, origin_of
from herding.nodes.transport import NodeTransport

Resolve = Callable[[str, int, socket.AddressFamily], Awaitable[list[ResolveResult]]]
"""Resolves a host as the resolvers of aiohttp do; raises OSError if it has no address."""

LOOKUP_SECONDS = 5.0

_NAT64 = ip_network("64:ff9b::/96")
_TUNNELS = tuple(map(IPv6Network, ("::/96", "2002::/16", "2001::/32", "64:ff9b:1::/48")))
_METADATA = {ip_address("168.63.129.16"), ip_address("100.100.100.200"), ip_address("192.0.0.192")}
"""Metadata services of clouds outside 169.254.0.0/16."""

_ASSIGNED = ip_network("192.0.0.0/24"), ip_network("3fff::/20")
"""Addresses for protocols and documentation, which this version of Python takes for public."""


class SsrfGuard:
    """Decides which addresses are allowed.

    Public addresses are allowed, with `loopback` also those of this machine if the URL names it explicitly. `allowed`
    adds hosts of the operator as `host`, `host:port` or `scheme://host:port`, with any address they resolve to.

    Where `network` has a proxy for a host, the proxy connects to it: its name is looked up and checked here for each
    request, but the proxy looks it up again. What only the proxy can look up is for the proxy to refuse.
    """

    def __init__(
        self,
        *,
        allowed: Sequence[str] = (),
        loopback: bool = False,
        resolve: Resolve | None = None,
        network: Network | None = None,
    ) -> None:
        self.network = network or Network()
        self._allowed = frozenset(entry.lower().rstrip("/") for entry in allowed)
        self._loopback = loopback
        self._resolve = resolve or _resolve

    def check(self, url: str) -> Origin:
        """Return the origin of a URL; raise UserError if its form or its literal address is not allowed."""
        try:
            origin = origin_of(url)
        except ValueError as error:
            raise UserError(f"Invalid URL: {error}.", param="url") from None
        if origin.address is not None and (reason := self.refusal_reason(origin, origin.address, literal=True)):
            raise UserError(reason, param="url")
        return origin

    async def check_addresses(self, url: str) -> Origin:
        """Check a URL and all current addresses of its host; a host without an address is accepted."""
        origin = self.check(url)
        if origin.address is None:
            try:
                async with asyncio.timeout(LOOKUP_SECONDS):
                    found = await self.resolve(origin)
            except OSError:
                return origin
            for address in found:
                if reason := self.refusal_reason(origin, address):
                    raise UserError(reason, param="url")
        return origin

    async def resolve(self, origin: Origin) -> list[Address]:
        """Return the addresses of a host; raise OSError if it has none."""
        found = await self._resolve(origin.host, origin.port, socket.AF_UNSPEC)
        return [ip_address(one["host"].partition("%")[0]) for one in found]

    def refusal_reason(self, origin: Origin, address: Address, *, literal: bool = False) -> str | None:
        """Return why `address` is not allowed for `origin`, or None; `literal` if the URL contains the address."""
        if self._is_allowed(origin):
            return None
        if self._loopback and address.is_loopback and (literal or origin.host == "localhost"):
            return None
        if problem := _problem(address, literal=literal):
            entry = f"{origin.host}:{origin.port}" if ":" not in origin.host else f"[{origin.host}]:{origin.port}"
            where = str(address) if literal else f"{origin.host} is at {address}, which"
            advice = f'An operator can allow it with HERDING_ALLOWED_HOSTS=["{entry}"].'
            return f"{where} is {problem}, which nodes added at run time may not use. {advice}"
        return None

    def transport(self, url: str) -> NodeTransport:
        """Return a transport that sends requests only to the origin of `url`."""
        return _GuardedTransport(self, self.check(url))

    async def resolve_allowed(
        self, origin: Origin, host: str, port: int, family: socket.AddressFamily
    ) -> list[ResolveResult]:
        """Resolve a host; raise OSError if any of its addresses is not allowed."""
        found = await self._resolve(host, port, family)
        for one in found:
            if reason := self.refusal_reason(origin, ip_address(one["host"].partition("%")[0])):
                raise OSError(errno.EACCES, reason)
        return found

    def _is_allowed(self, origin: Origin) -> bool:
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        return not self._allowed.isdisjoint({origin.host, host, f"{host}:{origin.port}", str(origin)})


class _GuardedTransport(NodeTransport):
    """Checks each request, and each address before a connection to that very address is made."""

    def __init__(self, guard: SsrfGuard, origin: Origin) -> None:
        proxy = guard.network.proxy_of(str(origin))
        resolver = None if proxy else _GuardedResolver(guard, origin)  # else it would look up the proxy
        super().__init__(resolver=resolver, context=guard.network.context(), proxy=proxy)
        self._guard, self._origin = guard, origin

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            if self.proxy is None:
                origin = self._guard.check(str(request.url))
            else:
                origin = await self._guard.check_addresses(str(request.url))
        except UserError as error:
            raise httpx.ConnectError(error.message) from None
        if origin != self._origin:
            raise httpx.ConnectError(f"{origin} is not the address of this node")
        return await super().handle_async_request(request)


class _GuardedResolver(AbstractResolver):
    """Resolves hosts to allowed addresses only."""

    def __init__(self, guard: SsrfGuard, origin: Origin) -> None:
        self._guard, self._origin = guard, origin

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return await self._guard.resolve_allowed(self._origin, host, port, family)

    async def close(self) -> None:
        """Close nothing."""


async def _resolve(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    return await aiohttp.ThreadedResolver().resolve(host, port, family)


def _problem(address: Address, *, literal: bool) -> str | None:
    """Return what is wrong with an address, None for a public one."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or (_last_32(address) if address in _NAT64 else None)
        if inner is not None:
            return "a disguised IPv4 address" if literal else _problem(inner, literal=False)
        if any(address in tunnel for tunnel in _TUNNELS) and not address.is_loopback and int(address) != 0:
            return "a disguised IPv4 address"
    if address in _METADATA or address.is_link_local:
        return "a metadata address of a cloud"
    if address.is_loopback:
        return "on this machine"
    if address.is_multicast or address.is_reserved or address.is_unspecified:
        return "not the address of a single machine"
    return None if address.is_global and not any(address in one for one in _ASSIGNED) else "in a private network"


def _last_32(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)
