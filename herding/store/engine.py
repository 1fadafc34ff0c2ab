"""Database engines: one for the writer, one for the readers, set up so that the two do not hurt each other."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from herding.errors import ConfigError, StoreError
from herding.store import driver
from herding.store.sqlite_mode import ROLLBACK, journal_mode, network_filesystem

LOCK_WAIT = 10_000
"""How long SQLite waits for a lock, in milliseconds."""

STATEMENTS = 1_000
"""Prepared statements that a connection to SQLite keeps: more than there are.

pysqlite3 throws out those that were used least, so where there is no room those that come last, however often they
come, are never kept, and to prepare one takes ten times as long as to run it.
"""

LARGEST_JOURNAL = 16 * 1024 * 1024
"""Bytes of the journal that stay on disk between transactions."""

CHECKPOINT = 4_000
"""Pages (of 4 KiB) in a write-ahead log that the next commit moves into the file."""

READERS = 4
"""How many reads run at once."""

_log = logging.getLogger(__name__)
_MOUNTS = Path("/proc/mounts")


def parsed(url: str) -> URL:
    """`url` with the driver that we use; raises ConfigError where it names no database of ours.

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
    return found if "+" in found.drivername else found.set(drivername="postgresql+psycopg")


def is_sqlite(url: URL) -> bool:
    """Whether `url` is a file of ours."""
    return url.get_backend_name() == "sqlite"


def write_engine(url: URL) -> Engine:
    """An engine with one connection, for the one thread that writes."""
    engine = _engine(url, pool_size=1)
    if is_sqlite(url):
        event.listen(engine, "connect", partial(_set_up_writer, _wanted_journal(url)))
        event.listen(engine, "begin", _begin_to_write)
    return engine


def schema_engine(url: URL) -> Engine:
    """An engine for migrations, without foreign keys: to alter a table SQLite drops the old one, and its children."""
    engine = _engine(url, pool_size=1)
    if is_sqlite(url):
        event.listen(engine, "connect", partial(_set_up_writer, _wanted_journal(url)))
        event.listen(engine, "begin", partial(_begin, "BEGIN IMMEDIATE"))
        event.listen(engine, "connect", _ignore_foreign_keys)
    return engine


def read_engine(url: URL) -> Engine:
    """An engine with a few connections that cannot write."""
    engine = _engine(url, pool_size=READERS)
    if is_sqlite(url):
        event.listen(engine, "connect", _set_up_reader)
        event.listen(engine, "begin", partial(_begin, "BEGIN"))
    return engine


def prepare_file(url: URL) -> None:
    """Creates the database's directory (mode 0700) and file (0600) where missing; warns of a network disk."""
    path = Path(url.database or "").absolute()
    try:
        _create(path)
    except OSError as error:
        raise StoreError(f"The database file {path} cannot be made: {error.strerror}.") from error
    if kind := _network(path):
        _log.warning(
            "The database %s is on a network file system (%s), where locks may fail and damage it. "
            "Put it on a local disk, or set DATABASE_URL to a PostgreSQL server.",
            path,
            kind,
        )


@contextmanager
def without_sync(connection: Connection) -> Iterator[None]:
    """Commits in here wait for no disk, where a write-ahead log allows that: they outlive the app all the same, and
    only where the machine stops before the next commit that waits, they never were.
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


def journal(connection: Connection) -> str | None:
    """How the file is written: `wal` or `persist`; None where it is no file of ours.

    WAL is a setting of the file. The kind of rollback journal is one of each connection, and the writer's counts.
    """
    if connection.dialect.name != "sqlite":
        return None
    found = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    return "wal" if found == "wal" else ROLLBACK


def _wanted_journal(url: URL) -> str:
    network = _network(Path(url.database or "").absolute())
    return journal_mode(driver.SQLITE.sqlite_version_info, network=network is not None)


def _network(path: Path) -> str | None:
    return network_filesystem(str(path.resolve()), _MOUNTS.read_text("utf-8")) if _MOUNTS.exists() else None


def _create(path: Path) -> None:
    for directory in reversed([parent for parent in path.parents if not parent.exists()]):
        directory.mkdir(mode=0o700, exist_ok=True)
    if not path.exists():  # opening and closing a live database would drop the locks this process has on it
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _engine(url: URL, *, pool_size: int) -> Engine:
    try:
        return create_engine(
            url,
            module=driver.SQLITE if is_sqlite(url) else None,
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=not is_sqlite(url),
            json_serializer=_to_json,
            connect_args={"cached_statements": STATEMENTS} if is_sqlite(url) else {},
        )
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigError(f"The driver for {url.drivername} is missing: {error}", key="DATABASE_URL") from error


def _to_json(value: Any) -> str:
    """`value` as JSON, also where it holds what orjson, ten times as fast, does not take: a number of many digits."""
    try:
        return orjson.dumps(value, default=str).decode()
    except orjson.JSONEncodeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _set_up(connection: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say so
    connection.execute(f"PRAGMA busy_timeout = {LOCK_WAIT}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -16384")


def _set_up_writer(wanted: str, connection: Any, _record: object) -> None:
    _set_up(connection)
    (found,) = connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()
    if found != wanted:  # the disk has no shared memory, which WAL needs
        connection.execute(f"PRAGMA journal_mode = {ROLLBACK}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
    connection.execute(f"PRAGMA journal_size_limit = {LARGEST_JOURNAL}")
    connection.execute("PRAGMA secure_delete = ON")


def _ignore_foreign_keys(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = OFF")


def _set_up_reader(connection: Any, _record: object) -> None:
    _set_up(connection)
    connection.execute("PRAGMA query_only = ON")
    connection.create_function("fold", 1, _fold, deterministic=True)


def _fold(text: str | None) -> str | None:
    """SQLite's own `lower` knows the letters of ASCII only."""
    return None if text is None else text.casefold()


def _begin(statement: str, connection: Connection) -> None:
    connection.exec_driver_sql(statement)


def _begin_to_write(connection: Connection) -> None:
    """Begins by the driver's own way, in a fraction of the time; so its own errors come out of it."""
    driver: Any = connection.connection.driver_connection
    driver.execute("BEGIN IMMEDIATE")
