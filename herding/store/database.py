"""Database engines: one connection for the writer, a few for the readers; and database errors as errors of ours."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import orjson
from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from herding.errors import ConfigError, HerdingError, StoreError, UserError
from herding.store import postgres, sqlite

PREPARED_STATEMENTS = 1_000
"""Prepared statements cached by an SQLite connection. Preparing one takes ten times as long as running it."""

READERS = 4
"""Reads that run at the same time."""

READ_ATTEMPTS = 3
"""Attempts of a read that meets a lock; each waits as long as SQLite does."""

LOCK_SECONDS = 10.0
"""The time that an app which starts waits for the one before it to end."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)

T = TypeVar("T")

_log = logging.getLogger(__name__)

_ADVICE = {
    "SQLITE_FULL": "The disk (or its quota) is full. Free some space and try again.",
    "SQLITE_READONLY": "The database is read-only. Make its file and directory writable and try again.",
    "SQLITE_BUSY": "The database is locked by another program. Try again, or stop that program.",
    "SQLITE_LOCKED": "The database is locked. Try again.",
    "SQLITE_CANTOPEN": "The database file cannot be opened. Check that its directory exists and is writable.",
    "SQLITE_IOERR": "The disk reported an error. Check the disk, its free space and its quota.",
    "SQLITE_CORRUPT": "The database file is damaged. Stop Herding, keep the file, and restore a backup in its place.",
    "SQLITE_NOTADB": "The file is not a database. Point DATABASE_URL to another file, or restore a backup.",
    "SQLITE_PERM": "Access to the database is denied. Check the permissions of its file and directory.",
    "SQLITE_TOOBIG": "A text is too long for the database. Shorten it.",
}


def parse_url(url: str) -> URL:
    """Parse a database URL and add the driver. Raises ConfigError.

    `%`, `?` and `#` in a path are written as in any URL: `%25`, `%3F` and `%23`.
    """
    scheme, _, path = url.partition(":///")
    if scheme in ("sqlite", "sqlite+pysqlite") and path not in ("", ":memory:"):
        return URL.create("sqlite", database=unquote(re.split(r"[?#]", path)[0]))
    if not url.startswith(("postgres:", "postgresql")):
        raise ConfigError("Write sqlite:///path/to/file or postgresql://user@host/name", key="DATABASE_URL")
    try:
        found = make_url(url)
    except ArgumentError as error:
        raise ConfigError("This is not a URL of PostgreSQL", key="DATABASE_URL") from error
    return postgres.with_driver(found)


def is_sqlite(url: URL) -> bool:
    """Return whether `url` names an SQLite file."""
    return url.get_backend_name() == "sqlite"


def write_engine(url: URL) -> Engine:
    """Create an engine with one connection, for the writer thread."""
    engine = _engine(url, pool_size=1)
    if is_sqlite(url):
        event.listen(engine, "connect", partial(_configure_writer, url))
        event.listen(engine, "begin", partial(_begin, "BEGIN IMMEDIATE", _opened(engine).check_or_detach))
    else:
        event.listen(engine, "connect", postgres.configure_writer)
    return engine


def schema_engine(url: URL) -> Engine:
    """Create an engine for migrations, without foreign keys: altering a table in SQLite replaces it."""
    engine = write_engine(url)
    if is_sqlite(url):
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = OFF"))
    return engine


def read_engine(url: URL) -> Engine:
    """Create an engine with a few connections that cannot write."""
    engine = _engine(url, pool_size=READERS)
    if is_sqlite(url):
        event.listen(engine, "connect", sqlite.configure_reader)
        opened = _opened(engine)
        event.listen(engine, "begin", partial(_begin, "BEGIN", lambda _: opened.check()))
        return engine
    event.listen(engine, "connect", postgres.configure_reader)
    # As on SQLite, all statements of a read see the same moment, and none of them writes.
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def presence_engine(url: URL) -> Engine:
    """Create an engine for the connection that holds the lock of this process on PostgreSQL."""
    engine = _engine(url, pool_size=1)
    event.listen(engine, "connect", postgres.configure_presence)
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def prepare_file(url: URL) -> None:
    """Create the directory (mode 0700) and the file (0600) of an SQLite database; warn of a network disk."""
    path = Path(url.database or "").absolute()
    _create_parents(path)
    try:
        if not path.exists():  # opening and closing a live database would drop this process's locks on it
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(f"The database file {path} cannot be created: {error.strerror}.") from error
    if kind := sqlite.network_filesystem(path):
        _log.warning(
            "The database %s is on a network file system (%s), where locks may fail and damage it. "
            "Put it on a local disk, or set DATABASE_URL to a PostgreSQL server.",
            path,
            kind,
        )


def lock_file(url: URL) -> FileLock | None:
    """Return a lock on an SQLite database that only one app can hold, and whose end releases it. Blocks.

    Two apps would mark each other's running requests as interrupted, and both would write the prompt files. Returns
    None for a disk without locks. Raises ConfigError if another app holds the lock for `LOCK_SECONDS`.
    """
    path = Path(url.database or "").resolve()  # one lock, whatever links name the file
    _create_parents(path)
    lock = FileLock(f"{path}.lock", mode=0o600, thread_local=False, fallback_to_soft=False, preserve_lock_file=True)
    try:
        with suppress(Timeout):
            lock.acquire(blocking=False)
            return lock
        _log.warning("database in use (%s): waiting %.0f s for the other process to end", path, LOCK_SECONDS)
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        message = f"Another Herding process uses the database {path}. Stop it, or set another directory."
        raise ConfigError(message, key="HERDING_HOME") from None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, NotImplementedError) or error.errno in _NO_LOCKS:
            _log.warning("database not locked (%s): this disk has no locks. Run only one process with it.", path)
            return None
        raise StoreError(f"The database file {path} cannot be created: {error.strerror}.") from error
    return lock


def _create_parents(path: Path) -> None:
    try:
        for directory in reversed([parent for parent in path.parents if not parent.exists()]):
            directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The database file {path} cannot be created: {error.strerror}.") from error


@contextmanager
def without_sync(connection: Connection) -> Iterator[None]:
    """Let commits in this block return before the disk has synced, in WAL mode.

    They survive a crash of the app. A power cut before the next synced commit undoes them.
    """
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name != "sqlite" or driver.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        yield
        return
    driver.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        driver.execute("PRAGMA synchronous = FULL")


def defer_sync(connection: Connection) -> None:
    """Let PostgreSQL answer the commit of this transaction before its disk has synced.

    As with `without_sync`, it survives a crash of the app or of the server's program, but not a power cut.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")


def name_version(connection: Connection) -> str:
    """Return the name and the version of the database."""
    if connection.dialect.name == "sqlite":
        return f"SQLite {sqlite.DRIVER.sqlite_version}"
    return f"PostgreSQL {connection.exec_driver_sql('SHOW server_version').scalar_one()}"


def journal(connection: Connection) -> str | None:
    """Return the journal mode, `wal` or `persist`; None for other databases than SQLite."""
    if connection.dialect.name != "sqlite":
        return None
    found = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    return "wal" if found == "wal" else sqlite.ROLLBACK  # rollback modes are per connection; the writer's counts


class Reader:
    """Runs read transactions in a few threads, so that a slow disk delays neither the event loop nor the writer.

    `file_lock` is held during each read; it is a real lock only where reads and commits exclude each other.
    """

    def __init__(self, engine: Engine, file_lock: AbstractContextManager[object]) -> None:
        self.closed = False
        self._engine = engine
        self._file_lock = file_lock
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")

    async def run(self, query: Callable[[Connection], T]) -> T:
        """Run `query` in one transaction. Raises StoreError."""
        if self.closed:
            raise StoreError("The store is closed: the app is stopping.")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, query)

    def close(self) -> None:
        """Wait for running reads and close the connections. Blocks."""
        self.closed = True
        self._threads.shutdown()
        self._engine.dispose()

    def _read(self, query: Callable[[Connection], T]) -> T:
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                with self._file_lock, self._engine.begin() as connection:
                    return query(connection)
            except (SQLAlchemyError, OverflowError) as error:
                if not is_transient(error) or attempt == READ_ATTEMPTS:
                    raise to_store_error(error) from error
        raise AssertionError("unreachable")


def is_transient(error: BaseException) -> bool:
    """Return whether the same transaction may succeed when repeated: after a lock or a lost connection."""
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    name = _error_name(error)
    found = name in ("SQLITE_BUSY", "SQLITE_LOCKED") or postgres.is_transient(name)
    return lost or found or isinstance(error, DisconnectionError)


def concerns_all(error: BaseException) -> bool:
    """Return whether every other transaction would fail now too, so that there is no sense in trying them."""
    return is_transient(error) or postgres.concerns_all(_error_name(error))


def to_store_error(error: BaseException) -> HerdingError:
    """Convert a database error to an error that says what to do; a HerdingError is returned unchanged.

    It is a StoreError, or a UserError for a number that no column holds.
    """
    if isinstance(error, HerdingError):
        return error
    if isinstance(error, OverflowError) or _error_name(error) == postgres.OUT_OF_RANGE:
        return UserError("A number is too large for the database. Choose a smaller one.")
    if isinstance(error, PoolTimeoutError):
        return StoreError("All connections to the database are in use. Try again.")
    cause = error.orig if isinstance(error, StatementError) and error.orig else error
    name = _error_name(error)
    advice = _ADVICE.get(name) or postgres.advice(name)
    if advice is None:
        _log.error("database error (%s): %s", type(cause).__name__, cause)
        advice = "The database reported an error. The server log has the details."
    said = str(cause).strip().splitlines() or [type(cause).__name__]
    return StoreError(advice, detail=f"Database: {said[0]}")


def _error_name(error: BaseException) -> str:
    """Return SQLite's primary name of an error, such as `SQLITE_FULL`, or PostgreSQL's SQLSTATE; empty for others."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if cause and (state := postgres.state_of(cause)):
        return state
    name = getattr(cause, "sqlite_errorname", None) or ""
    return "_".join(name.split("_")[:2])


def _configure_writer(url: URL, connection: Any, _record: object) -> None:
    network = sqlite.network_filesystem(Path(url.database or "").absolute()) is not None
    sqlite.configure_writer(connection, sqlite.journal_mode(sqlite.DRIVER.sqlite_version_info, network=network))


def _opened(engine: Engine) -> sqlite.OpenFile:
    """Return the file of an engine, which connects to no other one: that would create an empty file."""
    opened = sqlite.OpenFile(Path(engine.url.database or "").absolute())
    event.listen(engine, "do_connect", lambda *_: opened.check())
    return opened


def _begin(statement: str, check: Callable[[Any], None], connection: Connection) -> None:
    """Begin a transaction of SQLite, whose driver would begin it at some statements only, after a check of the file."""
    driver: Any = connection.connection.driver_connection
    check(driver)
    try:
        driver.execute(statement)  # `exec_driver_sql` takes longer than the database
    except sqlite.DRIVER.Error as error:
        raise OperationalError(statement, None, error) from error


def _engine(url: URL, *, pool_size: int) -> Engine:
    try:
        return create_engine(
            url,
            module=sqlite.DRIVER if is_sqlite(url) else None,
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=not is_sqlite(url),
            json_serializer=_to_json,
            hide_parameters=True,  # errors and logs show no one's texts
            connect_args={"cached_statements": PREPARED_STATEMENTS}
            if is_sqlite(url)
            else postgres.connect_options(url),
        )
    except NoSuchModuleError as error:
        raise ConfigError(f"There is no driver {url.drivername}. Write postgresql://...", key="DATABASE_URL") from error
    except ImportError as error:
        raise ConfigError(f"The driver of PostgreSQL is missing. {postgres.INSTALL}", key="DATABASE_URL") from error


def _to_json(value: Any) -> str:
    """Serialize to JSON; numbers that are too large for orjson go through the standard library."""
    try:
        return orjson.dumps(value, default=str).decode()
    except orjson.JSONEncodeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
