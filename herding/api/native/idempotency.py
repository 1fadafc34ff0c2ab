"""Responses by Idempotency-Key, so that a request that is sent again does not run again."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from herding.errors import ConflictError

TTL_SECONDS = 24 * 3600.0
MAX_ENTRIES = 10_000
MAX_BYTES = 64_000_000
MAX_KEY = 255

T = TypeVar("T")
Key = tuple[str, str]
"""The id of a principal and the key that they chose."""


class UsedKeyError(ConflictError):
    """The key was used with another request."""

    type = "idempotency_conflict"


@dataclass(slots=True, eq=False)
class _Entry(Generic[T]):
    digest: bytes
    task: asyncio.Task[T]
    created_at: float
    waiting: int = 0


class IdempotencyCache(Generic[T]):
    """Responses by principal and key, in the memory of this process, for a day.

    The least recently used are dropped above `max_entries`, or above `max_bytes` in total as measured by `size`. A
    request that failed, or that all its clients left, is not stored: the next one with its key runs.
    """

    def __init__(
        self,
        *,
        size: Callable[[T], int],
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = size
        self._max_entries, self._max_bytes, self._monotonic = max_entries, max_bytes, monotonic
        self._entries: OrderedDict[Key, _Entry[T]] = OrderedDict()
        self._bytes = 0

    async def run(self, key: Key, digest: bytes, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the response for `key`, from `work` if the key is new.

        `digest` is that of the request. Raises UsedKeyError if the key came with another one.
        """
        entry = self._find(key)
        if entry is None:
            entry = self._entries[key] = _Entry(digest, asyncio.create_task(work()), self._monotonic())
            entry.task.add_done_callback(lambda _: self._store(key, entry))
        elif entry.digest != digest:
            raise UsedKeyError("This Idempotency-Key was used with another request. Use a new key.")
        self._entries.move_to_end(key)
        return await self._wait(key, entry)

    def _find(self, key: Key) -> _Entry[T] | None:
        entry = self._entries.get(key)
        if entry and self._monotonic() - entry.created_at > TTL_SECONDS:
            self._drop(key)
            return None
        return entry

    async def _wait(self, key: Key, entry: _Entry[T]) -> T:
        """Wait for a response together with other clients; when the last one leaves, the run is cancelled."""
        entry.waiting += 1
        try:
            return await asyncio.shield(entry.task)
        finally:
            entry.waiting -= 1
            if not entry.waiting and not entry.task.done():
                if self._entries.get(key) is entry:
                    self._drop(key)
                entry.task.cancel()
                await asyncio.wait([entry.task])

    def _store(self, key: Key, entry: _Entry[T]) -> None:
        failed = entry.task.cancelled() or entry.task.exception() is not None
        if self._entries.get(key) is not entry:
            return
        if failed:
            self._drop(key)
            return
        self._bytes += self._size(entry.task.result())
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Key) -> None:
        task = self._entries.pop(key).task
        if task.done() and not task.cancelled() and task.exception() is None:
            self._bytes -= self._size(task.result())
