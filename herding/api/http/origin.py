"""Where a request comes from: which page sent it, and which machine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

Headers = Mapping[bytes, bytes]
UNKNOWN = "unknown"


def same_origin(headers: Headers) -> bool:
    """Whether a request comes from our own page, or from no page at all.

    Browsers always send one of these headers with a request that a page of another site makes, and no page can
    forge them.
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


def opens_page(headers: Headers) -> bool:
    """Whether a browser opens a page, by a link or in a frame: its answer is shown, and no other page can read it."""
    return headers.get(b"sec-fetch-mode") == b"navigate"


def wants_page(scope: Mapping[str, Any], headers: Headers) -> bool:
    """Whether a person waits for a page, not a program for data."""
    return scope.get("method") == "GET" and b"text/html" in headers.get(b"accept", b"")


def address_of(scope: Mapping[str, Any]) -> str:
    """The machine that a request comes from; of IPv6 the network, since one machine has many addresses there."""
    client = scope.get("client")
    if not client:
        return UNKNOWN
    return _machine(str(client[0]))


@lru_cache(maxsize=4096)
def _machine(said: str) -> str:
    host = said.partition("]")[0].lstrip("[") if said.startswith("[") else said
    if host.count(":") == 1:  # some proxies tell the port as well
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else ":".join(address.exploded.split(":")[:4])
    return str(address)
