"""An event loop whose clock jumps to the next timer whenever everything waits: a day passes in seconds.

Sockets of this machine and threads are real. The clock stands still while a thread works for the loop, so that nothing
times out for its sake.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

SETTLED = 0.0005
"""Real seconds without an event after which everything waits."""


class FastLoop(asyncio.SelectorEventLoop):
    """The loop; `time` is its own."""

    def __init__(self) -> None:
        self._now = 1_000.0
        self.working = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self._now

    def skip(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds

    def run_in_executor(self, *arguments: Any) -> Any:
        return self.watch(super().run_in_executor(*arguments))

    def watch(self, future: Any) -> Any:
        """Let the clock stand still until a future of a thread is done."""
        self.working += 1
        future.add_done_callback(self._worked)
        return future

    def _worked(self, _: object) -> None:
        self.working -= 1


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    def __init__(self, loop: FastLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        while not (found := super().select(0.05 if self._loop.working or timeout is None else SETTLED)):
            if not self._loop.working and timeout is not None:
                self._loop.skip(timeout)
                return []
        return found
