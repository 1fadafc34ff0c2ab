"""The endpoint of the Model Context Protocol, which loads the SDK with the first request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from herding.orchestrator import Orchestrator
from herding.values import Principal

if TYPE_CHECKING:
    from herding.mcp.sessions import SessionManager

PATH = "/mcp"


class McpEndpoint:
    """ASGI app that speaks the Model Context Protocol over streamable HTTP.

    It is inside of the middleware of the app, which checks hosts, origins and sizes, and sets the principal.
    `lifespan` ends its sessions; without it, they end with the event loop.
    """

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._manager: SessionManager | None = None
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._ended = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        manager = self._manager or await self._start()
        who: Principal = scope["state"]["principal"]
        await manager.handle(scope, receive, send, who)

    @asynccontextmanager
    async def lifespan(self, _app: object) -> AsyncIterator[None]:
        """End all sessions after the block."""
        try:
            yield
        finally:
            await self.close()

    async def close(self) -> None:
        """End all sessions."""
        self._ended.set()
        if self._task:
            await self._task

    async def _start(self) -> SessionManager:
        async with self._starting:
            if self._manager is None:
                manager = await asyncio.to_thread(_manager, self._orchestrator)
                ready = asyncio.Event()
                self._task = asyncio.create_task(self._run(manager, ready), name="mcp sessions")
                await ready.wait()
                self._manager = manager
            return self._manager

    async def _run(self, manager: SessionManager, ready: asyncio.Event) -> None:
        """Keep the task group of the sessions open: one task must both open and close it."""
        async with manager.run():
            ready.set()
            await self._ended.wait()


def _manager(orchestrator: Orchestrator) -> SessionManager:
    from herding.mcp.server import create_server
    from herding.mcp.sessions import SessionManager  # the SDK takes half a second to import

    return SessionManager(create_server(orchestrator))
