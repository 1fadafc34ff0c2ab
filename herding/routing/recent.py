"""How many of the calls of the last seconds failed."""

from __future__ import annotations

from collections import deque


class Recent:
    """Counts calls and failures over a sliding window, in steps of a second; its memory does not grow with load."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._steps: deque[list[int]] = deque()
        self._calls = self._failed = 0

    def add(self, now: float, *, failed: bool) -> None:
        """Note a call that ended at `now`, in seconds."""
        second = int(now)
        if not self._steps or self._steps[-1][0] != second:
            self._forget_old(now)
            self._steps.append([second, 0, 0])
        step = self._steps[-1]
        step[1] += 1
        step[2] += failed
        self._calls += 1
        self._failed += failed

    def count(self, now: float) -> tuple[int, int]:
        """Calls and failures of the window that ends at `now`."""
        self._forget_old(now)
        return self._calls, self._failed

    def _forget_old(self, now: float) -> None:
        while self._steps and self._steps[0][0] <= now - self._window:
            _, calls, failed = self._steps.popleft()
            self._calls -= calls
            self._failed -= failed
