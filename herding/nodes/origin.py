"""The scheme, host and port of a URL, read once and so strictly that no two parsers can differ about them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address

PORTS = {"http": 80, "https": 443}
SHAPE = "a URL is http:// or https://, then a host without user name, then port and path"
MAX_URL = 200_000
"""A URL may carry a whole prompt."""

_URL = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?((?:[/?].*)?)", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNFIT = re.compile(r"[^\x21-\x7e]|[\\#]")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where requests go. `host` is in lower case, an IPv6 address without its brackets."""

    scheme: str
    host: str
    port: int

    @property
    def address(self) -> Address | None:
        """The address that the host is, None for a name."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def origin_of(url: str) -> Origin:
    """The origin of a URL; ValueError for any that is not plain `http(s)://host[:port][/path][?query]`.

    Refused are user names, fragments, backslashes, letters beyond ASCII, and numbers that stand for an address in any
    form but the usual one.
    """
    if len(url) > MAX_URL or _UNFIT.search(url):
        raise ValueError("a URL has printable ASCII characters only, no '\\' and no '#', and is not endless")
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError(SHAPE)
    scheme, host = found[1].lower(), found[2].lower()
    port = int(found[3]) if found[3] else PORTS[scheme]
    if not 1 <= port <= 65535:
        raise ValueError("a port is a number from 1 to 65535")
    return Origin(scheme, _checked_host(host), port)


def _checked_host(host: str) -> str:
    try:
        if host.startswith("["):
            return str(IPv6Address(host[1:-1]))
        labels = host.split(".")
        if _NUMBER.fullmatch(labels[-1]):
            return str(IPv4Address(host))
    except ValueError:
        raise ValueError(f"'{host}' is no host; write an address as 192.0.2.1 or [2001:db8::1]") from None
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"'{host}' is no host")
    return host
