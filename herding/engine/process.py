"""The process around the server: its socket, its announcement, and its end."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; connections wait in its backlog until the server takes them."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, or asyncio sets no TCP_NODELAY
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(512)
    return listener


def announce(listener: socket.socket) -> None:
    """Tell the launcher on stdout, in one line of JSON, where the engine listens."""
    port = listener.getsockname()[1]
    sys.stdout.write(json.dumps({"port": port, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()


def exit_with_parent() -> None:
    """End this process at once when stdin is closed, which happens even when the parent is killed."""
    threading.Thread(target=_wait_for_end_of_stdin, name="parent-watch", daemon=True).start()


def _wait_for_end_of_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)
