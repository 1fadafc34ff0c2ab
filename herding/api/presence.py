"""Work that ends when its caller goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TypeVar

T = TypeVar("T")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Left(Exception):
    """The caller closed the connection."""


async def while_there(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives. Left as soon as the caller is gone; `work` is cancelled then, and has ended.

    The request's body must have been read, since whatever else comes from `receive` is dropped.
    """
    working, leaving = asyncio.create_task(work), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Left
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
