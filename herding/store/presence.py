"""Which processes use a PostgreSQL database now, and the requests that ran in others when those ended."""

from __future__ import annotations

import secrets
from contextlib import suppress

from sqlalchemy import URL, BigInteger, ColumnElement, Connection, Select, column, or_, select, text, update
from sqlalchemy.exc import DBAPIError

from herding.store import search_index
from herding.store.database import presence_engine, to_store_error
from herding.store.tables import IS_RUNNING, request

_PROCESSES = 0x68657264
"""The first number of the advisory locks that processes hold; the second one is that of the process."""

_INTERRUPTED = {
    "status": "interrupted",
    "finish_reason": "error",
    "error_type": "interrupted",
    "error": "The app stopped while this request ran. Send it again.",
}

# PostgreSQL notes a lock of two numbers with `objsubid` 2.
_PRESENT = text(
    "SELECT CAST(objid AS bigint) AS number FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted "
    "AND classid = :processes AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Presence:
    """An advisory lock that shows other processes that this one lives. `number` is in the rows of its requests.

    The server releases the lock when its connection ends, so also after `kill -9` and, within a minute, after a power
    cut.
    """

    def __init__(self, url: URL) -> None:
        self.number = secrets.randbelow(2**31)
        self._engine = presence_engine(url)
        self._connection: Connection | None = None

    def begin(self) -> None:
        """Take the lock of a number that no other process has. Blocks. Raises StoreError."""
        while not self._take():
            self.number = secrets.randbelow(2**31)

    def keep(self) -> bool:
        """Return whether the lock is held since the last call; if not, take it again. Blocks. Raises StoreError.

        After a restart of the server, other live processes may not have taken theirs yet.
        """
        if self._connection and self._is_alive(self._connection):
            return True
        self._connection = None
        self._take()
        return False

    def _take(self) -> bool:
        """Take the lock; return whether it is held."""
        try:
            connection = self._engine.connect()
            lock = f"SELECT pg_try_advisory_lock({_PROCESSES}, {self.number})"
            if connection.exec_driver_sql(lock).scalar_one():
                self._connection = connection
                return True
            connection.close()  # the server has not noticed yet that the connection before this one is lost
            return False
        except DBAPIError as error:
            raise to_store_error(error) from error

    def _is_alive(self, connection: Connection) -> bool:
        with suppress(DBAPIError):
            connection.exec_driver_sql("SELECT 1")
            return True
        connection.invalidate()
        connection.close()
        return False

    def close(self) -> None:
        """Release the lock. Blocks."""
        connection, self._connection = self._connection, None
        if connection:
            connection.invalidate()
            connection.close()
        self._engine.dispose()


def interrupt_orphans(connection: Connection) -> int:
    """Mark the running requests of processes that have ended as interrupted; return their number.

    On SQLite, which one process uses at a time, these are all that the database says are running.
    """
    orphans = _orphans(connection)
    if connection.execute(orphans.limit(1)).first() is None:
        return 0
    search_index.enqueue_from(connection, orphans)
    return connection.execute(update(request).where(request.c.id.in_(orphans)).values(**_INTERRUPTED)).rowcount


def _orphans(connection: Connection) -> Select[tuple[str]]:
    return select(request.c.id).where(IS_RUNNING, *_of_ended_processes(connection))


def _of_ended_processes(connection: Connection) -> list[ColumnElement[bool]]:
    if connection.dialect.name != "postgresql":
        return []
    present = _PRESENT.bindparams(processes=_PROCESSES).columns(column("number", BigInteger))
    return [or_(request.c.process.is_(None), request.c.process.not_in(present))]
