"""Work that ends when its client disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

T = TypeVar("T")


class ClientDisconnected(Exception):
    """The client closed the connection before its response was ready."""


async def run_until_disconnect(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`, which is cancelled when the client disconnects.

    The body of the request must have been read: further messages of `receive` are dropped. Raises ClientDisconnected
    after `work` has ended.
    """
    worker, disconnected = asyncio.current_task(), False

    async def watch() -> None:
        nonlocal disconnected
        while (await receive())["type"] != "http.disconnect":
            pass
        disconnected = True
        if worker:
            worker.cancel()

    watcher = asyncio.create_task(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if disconnected and worker and worker.uncancel() == 0:  # else somebody else cancelled the worker as well
            raise ClientDisconnected from None
        raise
    finally:
        watcher.cancel()
