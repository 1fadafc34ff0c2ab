"""Where work waits for a thread that takes as much of it at once as there is."""

from __future__ import annotations

import time
from queue import SimpleQueue
from typing import Generic, TypeVar

LARGEST_BATCH = 500
"""Jobs that are taken at once; more would keep the first of them waiting."""

PACE_SECONDS = 0.002
"""While many jobs come, a batch begins no sooner than this after the one before.

What a transaction costs hardly depends on its jobs, and among many callers nobody notices so short a wait.
"""

MANY = 3
"""More jobs than this in a batch are many; one caller alone never has more."""

T = TypeVar("T")


class WriteQueue(Generic[T]):
    """A queue between many threads that put, and one that takes."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[T | None] = SimpleQueue()
        self._not_before = 0.0

    def put(self, job: T) -> None:
        """Let a job wait."""
        self._queue.put(job)

    def end(self) -> None:
        """No more jobs come."""
        self._queue.put(None)

    def take(self) -> tuple[list[T], bool]:
        """The first job, waiting for it, with all that wait behind it; False after the last."""
        if (wait := self._not_before - time.monotonic()) > 0:
            time.sleep(wait)
        found = [self._queue.get()]
        begins = time.monotonic()
        while len(found) < LARGEST_BATCH and found[-1] is not None and not self._queue.empty():
            found.append(self._queue.get_nowait())
        if len(found) > MANY:
            self._not_before = begins + PACE_SECONDS
        return [job for job in found if job is not None], found[-1] is not None
