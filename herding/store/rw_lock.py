"""Turns between the readers and the writer of one process, for a rollback journal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class ReadWriteLock:
    """A shared lock with fair phases: a commit waits for the running reads only, a read for one commit only.

    SQLite's own locks keep the data right, but who waits for them asks again and again after growing pauses, and a
    reader can miss every gap between busy commits for seconds. They remain the guard against other processes.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._readers = 0
        self._blocked = 0
        self._writer = False
        self._phase = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Holds for one read transaction; many may at once."""
        with self._changed:
            if self._writer:
                self._await_phase()
            else:
                self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Holds for one commit, alone. There is one writer only."""
        with self._changed:
            self._writer = True
            self._changed.wait_for(lambda: self._readers == 0)
        try:
            yield
        finally:
            with self._changed:
                self._writer = False
                self._phase += 1
                self._readers, self._blocked = self._blocked, 0  # handed over, or the next commit would be first
                self._changed.notify_all()

    def _await_phase(self) -> None:
        """Waits for the end of the commit that waits or runs; whoever ends it counts us among the readers."""
        phase = self._phase
        self._blocked += 1
        self._changed.wait_for(lambda: self._phase != phase)


class NoLock(ReadWriteLock):
    """For databases where reads and commits do not meet: WAL and PostgreSQL."""

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Holds up nobody."""
        yield

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Holds up nobody."""
        yield
