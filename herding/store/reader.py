"""Short reads on threads of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from herding.errors import StoreError
from herding.store.db_errors import explained, is_passing
from herding.store.engine import READERS
from herding.store.rw_lock import ReadWriteLock

TRIES = 3
"""How often a read meets a lock (each time SQLite's own wait) before its caller gets the error."""

T = TypeVar("T")


class Reader:
    """Runs read transactions in a few threads, so that a slow disk holds up neither the loop nor the writer."""

    def __init__(self, engine: Engine, turns: ReadWriteLock) -> None:
        self.closed = False
        self._engine = engine
        self._turns = turns
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")

    async def run(self, query: Callable[[Connection], T]) -> T:
        """`query` in one transaction, which ends before the caller goes on; raises StoreError."""
        return await self.aside(lambda: self._read(query))

    async def aside(self, work: Callable[[], T]) -> T:
        """Runs blocking work on one of the threads."""
        if self.closed:
            raise StoreError("The store is closed: the app is stopping.")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Waits for the running reads, ends the threads and closes the connections."""
        self.closed = True
        self._threads.shutdown()
        self._engine.dispose()

    def _read(self, query: Callable[[Connection], T]) -> T:
        for tries in range(1, TRIES + 1):
            try:
                with self._turns.reading(), self._engine.begin() as connection:
                    return query(connection)
            except SQLAlchemyError as error:
                if not is_passing(error) or tries == TRIES:
                    raise explained(error) from error
        raise AssertionError("unreachable")
