"""The origin of a URL, parsed so strictly that all URL parsers agree about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx

Address = IPv4Address | IPv6Address

PORTS = {"http": 80, "https": 443}
URL_FORM = "a URL begins with http:// or https://, then a host without user name, port and path"
MAX_URL_CHARS = 200_000
"""A URL may contain a whole prompt."""

_URL = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?((?:[/?].*)?)", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_INVALID = re.compile(r"[^\x21-\x7e]|[\\#]")


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port. `host` is in lower case, an IPv6 address has no brackets."""

    scheme: str
    host: str
    port: int

    @property
    def address(self) -> Address | None:
        """The IP address if the host is one, None for a name."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def origin_of(url: str) -> Origin:
    """Return the origin of a URL `http(s)://host[:port][/path][?query]`; raise ValueError for other forms.

    User names, fragments, backslashes, characters beyond ASCII and unusual notations of addresses are refused.
    """
    if len(url) > MAX_URL_CHARS or _INVALID.search(url):
        raise ValueError(f"a URL must have at most {MAX_URL_CHARS:,} printable ASCII characters without '\\' and '#'")
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError(URL_FORM)
    scheme, host = match[1].lower(), match[2].lower()
    port = int(match[3]) if match[3] else PORTS[scheme]
    if not 1 <= port <= 65535:
        raise ValueError("a port must be a number from 1 to 65535")
    return Origin(scheme, _check_host(host), port)


def _check_host(host: str) -> str:
    try:
        if host.startswith("["):
            return str(IPv6Address(host[1:-1]))
        labels = host.split(".")
        if _NUMBER.fullmatch(labels[-1]):
            return str(IPv4Address(host))
    except ValueError:
        raise ValueError(f"'{host}' is not a valid host; write an address as 192.0.2.1 or [2001:db8::1]") from None
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"'{host}' is not a valid host")
    if "xn--" in host:
        check_name(f"http://{host}")
    return host


def check_name(url: str) -> None:
    """Raise ValueError for a URL whose host is no name that can be looked up."""
    try:
        parsed = httpx.URL(url)
        _ = parsed.host, parsed.raw_host.decode().encode("idna")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ValueError(f"this URL has an invalid host: {error}") from None
