"""Tells an event loop what another thread has for it, without keeping it waiting for that thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LoopNotifier(Generic[T]):
    """Calls `hear` on the event loop that it was made in, once for each `ring`, in their order.

    `call_soon_threadsafe` does so too, but wakes the loop while its caller holds Python's lock: the loop tries to run,
    waits for the lock, and changes places with the other thread twice more. Where there is eventfd (on Linux), the
    lock is free while the loop wakes up.
    """

    def __init__(self, hear: Callable[[T], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._hear = hear
        self._rung: deque[T] = deque()
        self._wire = _wire()
        if self._wire is not None:
            self._loop.add_reader(self._wire, self._answer)

    def ring(self, news: T) -> None:
        """From any thread; not after `retire`. Nobody hears it on a loop that is closed."""
        self._rung.append(news)
        if self._wire is not None:
            os.eventfd_write(self._wire, 1)
        else:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._answer)

    def retire(self) -> None:
        """From any thread, after the last `ring`: what was rung is still heard."""
        try:
            self._loop.call_soon_threadsafe(self._leave)
        except RuntimeError:  # the loop is closed
            self._cut()

    def _answer(self) -> None:
        if self._wire is not None:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wire)
        while self._rung:
            self._hear(self._rung.popleft())

    def _leave(self) -> None:
        self._answer()
        if self._wire is not None:
            self._loop.remove_reader(self._wire)
            self._cut()

    def _cut(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            os.close(wire)


def _wire() -> int | None:
    """A number that a loop can watch and another thread can count up; None where there is none."""
    try:
        return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    except (AttributeError, OSError):
        return None
