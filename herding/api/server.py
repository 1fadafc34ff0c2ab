"""The HTTP server of the app, and the number of connections that it can hold."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator

import uvicorn

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

MAX_CONNECTIONS = 10_000
OTHER_FILES = 400
"""Open files besides the connections of clients: those to nodes, the database, the page's files."""


class Server(uvicorn.Server):
    """A server without uvicorn's signal handlers, which would end the process before the services are closed.

    `drain` ends the open responses; it gets a function that tells whether a second signal has come.
    """

    def __init__(self, config: uvicorn.Config, *, drain: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
        super().__init__(config)
        self._drain = drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no further connections, end the open responses, then close."""
        for server in self.servers:
            server.close()
        await self._drain(lambda: len(self._captured_signals) > 1)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT while the server runs. A second SIGINT does not wait for open responses."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self.handle_exit, name, None)
        yield


def max_connections() -> int:
    """Return how many connections the open files of this process allow, after raising their limit.

    Without a limit of ours, a client that opens more would keep the app from accepting any other, and from its files.
    """
    if resource is None:
        return MAX_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(64, min(MAX_CONNECTIONS, soft - OTHER_FILES))
