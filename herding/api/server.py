"""The HTTP server of the app, and the number of connections that it can hold."""

from __future__ import annotations

import asyncio
import contextlib
import logging
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

FEWEST_CONNECTIONS = 64

_log = logging.getLogger(__name__)


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
        if self.force_exit:  # which leaves this out: its task would end with a traceback
            await self.lifespan.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM, SIGINT and SIGHUP while the server runs. A second one does not wait for open responses.

        SIGHUP comes when the terminal is closed; it stays ignored for `nohup`.
        """
        loop = asyncio.get_running_loop()
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number and signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self.handle_exit, number, None)
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
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    if soft < FEWEST_CONNECTIONS + OTHER_FILES:
        advice = f"Raise it to {FEWEST_CONNECTIONS + OTHER_FILES} or more (ulimit -n)."
        _log.warning("few open files allowed (%d): requests fail under load. %s", soft, advice)
        return min(FEWEST_CONNECTIONS, soft // 4)
    return min(MAX_CONNECTIONS, soft - OTHER_FILES)
