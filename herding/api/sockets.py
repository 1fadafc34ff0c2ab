"""The sockets that the server listens on."""

from __future__ import annotations

import errno
import socket

from herding.errors import ConfigError


def bind(host: str, port: int) -> list[socket.socket]:
    """Return sockets bound to every address of `host`, which do not listen yet. Raises ConfigError with the variable.

    It comes before all else: an app that cannot listen must not create anything, nor print a token.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ConfigError(f"'{host}' is not an address of this machine.", key="HERDING_HOST") from None
    sockets: list[socket.socket] = []
    refusal: ConfigError | None = None
    for family, kind, protocol, _, address in dict.fromkeys(found):
        taken = sockets[0].getsockname()[1] if sockets else address[1]  # one port for all, also where any will do
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind((address[0], taken, *address[2:]))
        except OSError as error:
            bound.close()
            refusal = _cannot_listen(host, port, error)
            if refusal.key == "HERDING_PORT":
                break
        else:
            sockets.append(bound)
    if refusal and (refusal.key == "HERDING_PORT" or not sockets):  # a name may have an address that is switched off
        for bound in sockets:
            bound.close()
        raise refusal
    return sockets


def url_of(host: str, port: int) -> str:
    """Return the URL by which this machine reaches a server that listens on `host`."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.strip("[]"), host.strip("[]"))
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _cannot_listen(host: str, port: int, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(f"Port {port} is in use. Stop the other program or choose another port.", key="HERDING_PORT")
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(f"Port {port} needs more permissions. Choose one above 1023.", key="HERDING_PORT")
    return ConfigError(f"'{host}' is not an address of this machine.", key="HERDING_HOST")
