"""Migration of a database to the newest schema."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError

from herding.errors import ConfigError, StoreError
from herding.store.database import is_transient, to_store_error
from herding.store.tables import Base

_ALEMBIC_LOCK = threading.Lock()
"""Alembic keeps its context in module globals."""

_POSTGRES_LOCK = 0x68657264
"""An advisory lock number, the same in all our processes."""


def config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration."""
    found = Config()
    found.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    found.set_main_option("path_separator", "os")
    found.attributes["connection"] = connection
    return found


def migrate(engine: Engine) -> None:
    """Check the database and run the missing migrations in one transaction that locks out other processes.

    Raises ConfigError for a schema newer than ours, StoreError for a damaged or unreachable database.
    """
    try:
        with _ALEMBIC_LOCK, engine.begin() as connection:
            _lock(connection)
            _refuse_damage(connection)
            found = set(MigrationContext.configure(connection).get_current_heads())
            _refuse_newer(found)
            if found != set(_scripts().get_heads()):
                command.upgrade(config(connection), "head")
                _sort_by_characters(connection)
    except DatabaseError as error:
        raise to_store_error(error) from error


def _sort_by_characters(connection: Connection) -> None:
    """Let PostgreSQL sort and compare all texts by the codes of their characters, as SQLite and Python do.

    The locale of a database would order keys, names and ids otherwise, and differently on each server.
    """
    if connection.dialect.name != "postgresql":
        return
    found = connection.exec_driver_sql(
        "SELECT table_name, column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND data_type IN ('character varying', 'text') "
        "AND collation_name IS NULL ORDER BY table_name"
    ).all()
    changes: dict[str, list[str]] = {}
    for table, column, kind in found:
        if table in Base.metadata.tables:
            changes.setdefault(table, []).append(f'ALTER COLUMN "{column}" TYPE {kind} COLLATE "C"')
    for table, columns in changes.items():
        connection.exec_driver_sql(f'ALTER TABLE "{table}" {", ".join(columns)}')


def _lock(connection: Connection) -> None:
    """Lock out other processes; SQLite did so with BEGIN IMMEDIATE."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRES_LOCK})")


def _refuse_damage(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    try:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    except DatabaseError as error:
        if is_transient(error):
            raise
        found = str(error.orig)
    if found != "ok":
        raise StoreError(
            f"The database file {connection.engine.url.database} is damaged ({_last_line(found)}). "
            "Nothing was changed. Move it aside and restore a backup in its place, or start a new history without it."
        )


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


@cache
def _scripts() -> ScriptDirectory:
    """Return the migrations of this version; Alembic compiles them with each call."""
    return ScriptDirectory.from_config(config())


def _refuse_newer(found: set[str]) -> None:
    known = {revision.revision for revision in _scripts().walk_revisions()}
    if unknown := sorted(found - known):
        raise ConfigError(
            f"The database has schema {', '.join(unknown)}, which this version of Herding does not know. "
            "Start the newer version that wrote it, or point DATABASE_URL to another database.",
            key="DATABASE_URL",
        )
