"""The way to nodes: certificate authorities and outbound proxies, of the environment or of one node."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from herding.errors import ConfigError
from herding.nodes.transport import NodeTransport

_PROXY_SCHEMES = ("http", "https")
_LOCAL_NAMES = ("localhost", "localhost.localdomain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Proxies by the scheme of the target (`all` is for both), hosts that are reached without one, and authorities.

    `ca_file` and `ca_dir` replace the certificate authorities that come with the app. This machine is never reached
    through a proxy.
    """

    proxies: Mapping[str, str] = field(default_factory=dict)
    no_proxy: tuple[str, ...] = ()
    ca_file: str | None = None
    ca_dir: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Network:
        """Return what the usual variables say. Raises ConfigError with the variable that is wrong.

        Proxies: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; their names in lower case count first.
        Authorities: `SSL_CERT_FILE` and `SSL_CERT_DIR`, else `REQUESTS_CA_BUNDLE`.
        """
        given = {name.upper(): value.strip() for name, value in environment.items() if name.isupper()}
        given |= {name.upper(): value.strip() for name, value in environment.items() if name.islower()}
        proxies = {}
        for scheme in ("http", "https", "all"):
            if value := given.get(variable := f"{scheme.upper()}_PROXY"):
                try:
                    proxies[scheme] = check_proxy(value)
                except ValueError as error:
                    raise ConfigError(f"{error}.", key=variable) from None
        name = next((name for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE") if given.get(name)), None)
        file, folder = given[name] if name else None, given.get("SSL_CERT_DIR") or None
        if name == "REQUESTS_CA_BUNDLE" and file and Path(file).is_dir():
            file, folder = None, file
        try:
            check_authorities(file, folder)
        except ValueError as error:
            raise ConfigError(f"{error}.", key=name or "SSL_CERT_DIR") from None
        hosts = tuple(host.strip() for host in given.get("NO_PROXY", "").split(",") if host.strip())
        return cls(proxies=proxies, no_proxy=hosts, ca_file=file, ca_dir=folder)

    def proxy_of(self, url: str) -> str | None:
        """Return the URL of the proxy for requests to a URL, None for none."""
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
        if is_local(host) or any(_matches(host, port, entry) for entry in self.no_proxy):
            return None
        return self.proxies.get(parts.scheme.lower()) or self.proxies.get("all")

    def context(self, ca_file: str | None = None) -> ssl.SSLContext:
        """Return the TLS context for a node: with its own authorities, or those of all nodes."""
        return _context(ca_file, None) if ca_file else _context(self.ca_file, self.ca_dir)

    def transport(self, url: str, *, ca_file: str | None = None, proxy: str | None = None) -> NodeTransport:
        """Return a transport to the node at a URL. `proxy` replaces that of the environment; empty is none."""
        chosen = self.proxy_of(url) if proxy is None else proxy
        return NodeTransport(context=self.context(ca_file), proxy=chosen or None)


def check_proxy(value: str) -> str:
    """Return the URL of a proxy. Raises ValueError, without the value, since it may have a password."""
    url = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(url)
        valid = parts.scheme.lower() in _PROXY_SCHEMES and parts.hostname and (parts.port is None or parts.port > 0)
        httpx.Proxy(url)
    except (ValueError, httpx.InvalidURL):
        valid = False
    if not valid:
        raise ValueError("a proxy is http://host:port or https://host:port; SOCKS is not supported")
    return url


def check_authorities(file: str | None, folder: str | None = None) -> None:
    """Raise ValueError if a file or directory of certificate authorities cannot be read."""
    if file is None and folder is None:
        return
    try:
        _context(file, folder)
    except (OSError, ssl.SSLError):
        raise ValueError(f"'{file or folder}' can't be read as certificates in PEM format") from None


def is_local(host: str) -> bool:
    """Return whether a host name or address is this machine's."""
    if host in _LOCAL_NAMES or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(64)
def _context(file: str | None, folder: str | None) -> ssl.SSLContext:
    if file is None and folder is None:
        return httpx.create_ssl_context(trust_env=False)
    if folder is not None and not Path(folder).is_dir():
        raise NotADirectoryError(folder)
    return ssl.create_default_context(cafile=file, capath=folder)


def _matches(host: str, port: int | None, entry: str) -> bool:
    """Return whether an entry of NO_PROXY means a host: `*`, a name with its subdomains, an address or a network."""
    if entry == "*":
        return True
    name, _, entry_port = entry.lower().rpartition(":") if entry.count(":") == 1 else (entry.lower(), "", "")
    if entry_port and entry_port != str(port):
        return False
    try:
        return ip_address(host) in ip_network(name.strip("[]"), strict=False)
    except ValueError:
        pass
    name = name.removeprefix("*").lstrip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))
