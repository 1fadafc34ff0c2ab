"""Equal requests that are sent again get the answer of the first one."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from herding.errors import ConflictError

KEPT_SECONDS = 24 * 3600.0
MOST = 10_000
MOST_BYTES = 64_000_000
MAX_KEY = 255

T = TypeVar("T")
Key = tuple[str, str]
"""A principal and the key that they chose."""


class UsedKeyError(ConflictError):
    """The key was used with another request."""

    type = "idempotency_conflict"


@dataclass(slots=True, eq=False)
class _Kept(Generic[T]):
    digest: bytes
    task: asyncio.Task[T]
    since: float
    waiting: int = 0


class Replies(Generic[T]):
    """Answers by principal and key, in the memory of this process, for a day.

    The longest unused go first when there are more than `most`, or more than `most_bytes` in all, as `size` counts. A
    request that failed, or that everybody walked away from, is not kept: the next one with its key runs.
    """

    def __init__(
        self,
        *,
        size: Callable[[T], int],
        most: int = MOST,
        most_bytes: int = MOST_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = size
        self._most, self._most_bytes, self._monotonic = most, most_bytes, monotonic
        self._kept: OrderedDict[Key, _Kept[T]] = OrderedDict()
        self._bytes = 0

    async def once(self, key: Key, digest: bytes, run: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The answer for `key`, from `run` where it is new; UsedKeyError where its request was another one."""
        kept = self._find(key)
        if kept is None:
            kept = self._kept[key] = _Kept(digest, asyncio.create_task(run()), self._monotonic())
            kept.task.add_done_callback(lambda _: self._settle(key, kept))
        elif kept.digest != digest:
            raise UsedKeyError("This Idempotency-Key came with another request before. Use a new key.")
        self._kept.move_to_end(key)
        return await self._answer(key, kept)

    def _find(self, key: Key) -> _Kept[T] | None:
        kept = self._kept.get(key)
        if kept and self._monotonic() - kept.since > KEPT_SECONDS:
            self._drop(key)
            return None
        return kept

    async def _answer(self, key: Key, kept: _Kept[T]) -> T:
        """Wait for an answer together with others; whoever leaves last ends the run."""
        kept.waiting += 1
        try:
            return await asyncio.shield(kept.task)
        finally:
            kept.waiting -= 1
            if not kept.waiting and not kept.task.done():
                if self._kept.get(key) is kept:
                    self._drop(key)
                kept.task.cancel()
                await asyncio.wait([kept.task])

    def _settle(self, key: Key, kept: _Kept[T]) -> None:
        failed = kept.task.cancelled() or kept.task.exception() is not None
        if self._kept.get(key) is not kept:
            return
        if failed:
            self._drop(key)
            return
        self._bytes += self._size(kept.task.result())
        while len(self._kept) > self._most or self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        task = self._kept.pop(key).task
        if task.done() and not task.cancelled() and task.exception() is None:
            self._bytes -= self._size(task.result())
