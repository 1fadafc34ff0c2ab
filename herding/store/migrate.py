"""Brings a database to the newest schema, or refuses one that it must not touch."""

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
from herding.store.db_errors import explained, is_passing

_ONE_AT_A_TIME = threading.Lock()
"""Alembic keeps its context in module globals."""

_POSTGRES_LOCK = 0x68657264
"""Any number that all our processes agree on."""


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, made in code."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


def migrate(engine: Engine) -> None:
    """Checks the database and runs the missing migrations, all in one transaction that locks out other processes.

    Raises ConfigError for a schema newer than ours, StoreError for a damaged or unreachable database.
    """
    try:
        with _ONE_AT_A_TIME, engine.begin() as connection:
            _lock(connection)
            _refuse_damage(connection)
            found = set(MigrationContext.configure(connection).get_current_heads())
            _refuse_newer(found)
            if found != set(_scripts().get_heads()):
                command.upgrade(config(connection), "head")
    except DatabaseError as error:
        raise explained(error) from error


def _lock(connection: Connection) -> None:
    """SQLite locked with BEGIN IMMEDIATE already."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRES_LOCK})")


def _refuse_damage(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    try:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    except DatabaseError as error:
        if is_passing(error):
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
    """The migrations of this version; Alembic compiles them anew each time."""
    return ScriptDirectory.from_config(config())


def _refuse_newer(found: set[str]) -> None:
    known = {revision.revision for revision in _scripts().walk_revisions()}
    if unknown := sorted(found - known):
        raise ConfigError(
            f"The database has schema {', '.join(unknown)}, which this version of Herding does not know. "
            "Start the newer version that wrote it, or point DATABASE_URL to another database.",
            key="DATABASE_URL",
        )
