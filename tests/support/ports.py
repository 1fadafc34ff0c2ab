"""Ports for servers of the tests."""

from __future__ import annotations

import random
import socket

BELOW = range(15_000, 32_000)
"""Outgoing connections get their ports above these, so none of them takes one that was found and is not used yet."""


def free_port() -> int:
    """A port that nothing listens on now, and that no connection is given."""
    for port in random.SystemRandom().sample(BELOW, len(BELOW)):
        try:
            listening(port).close()
        except OSError:
            continue
        return port
    raise AssertionError(f"no port of {BELOW} is free")


def listening(port: int = 0, host: str = "") -> socket.socket:
    """A socket that listens, on a port that nobody has where none is named."""
    made = socket.socket()
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(2048)
    except OSError:
        made.close()
        raise
    return made
