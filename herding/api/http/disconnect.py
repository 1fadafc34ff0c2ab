"""Work that ends when its caller goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TypeVar

T = TypeVar("T")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

PATIENCE = 0.2
"""Seconds until somebody looks whether the caller is still there: most answers are there before, and looking costs."""


class ClientDisconnected(Exception):
    """The caller closed the connection."""


async def while_there(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives. ClientDisconnected as soon as the caller is gone; `work` is cancelled then, and has ended.

    The request's body must have been read, since whatever else comes from `receive` is dropped.
    """
    watch = _Watch(receive)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.is_why():
            raise ClientDisconnected from None
        raise
    finally:
        watch.end()


class _Watch:
    """Cancels the task that it was made in when the caller is gone."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._worker = asyncio.current_task()
        self._looking: asyncio.Task[None] | None = None
        self._left = False
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._look)

    def is_why(self) -> bool:
        """Whether the task was cancelled by this, and by nobody else as well."""
        return self._left and self._worker is not None and self._worker.uncancel() == 0

    def end(self) -> None:
        """Look no more."""
        self._timer.cancel()
        if self._looking:
            self._looking.cancel()

    def _look(self) -> None:
        self._looking = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left = True
        if self._worker:
            self._worker.cancel()
