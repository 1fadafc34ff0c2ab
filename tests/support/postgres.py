"""A PostgreSQL server of the tests' own: in a directory that goes with it, one for each process that runs tests."""

from __future__ import annotations

import asyncio
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import psycopg

from herding.store import Store
from tests import database
from tests.support.until import LONG

USERS = ("postgres", "nobody")
"""Who runs the server where the tests run as root, which PostgreSQL refuses."""

OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "log_min_messages": "warning",
}

_WATCH = '"$@" & read _; kill -QUIT $! 2>/dev/null; wait'
"""Runs the server until the other end of the pipe is closed, by us or by our death."""

_EMPTY = """
DO $$
DECLARE
    statement text;
BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
    FOR statement IN
        SELECT format(
            CASE WHEN pg_relation_size(quote_ident(tablename)::regclass) > 1000000
            THEN 'TRUNCATE %I CASCADE' ELSE 'DELETE FROM %I' END, tablename
        ) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'
        UNION ALL SELECT format('ALTER SEQUENCE %I RESTART', sequencename) FROM pg_sequences
        WHERE schemaname = 'public' AND last_value IS NOT NULL
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$
"""
"""Makes a database as it was when it was new, in one statement: that is far cheaper than one for each table."""
_SCHEMA = """
SELECT md5(string_agg(line, ' ' ORDER BY line)) FROM (
    SELECT format('%s %s %s', relname, relkind, relhastriggers) AS line FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT format('%s %s %s %s', attrelid::regclass, attname, atttypid, attnotnull) FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND attnum > 0
    UNION ALL SELECT format('%s %s', conrelid::regclass, conname) FROM pg_constraint
    UNION ALL SELECT format('%s %s', tgrelid::regclass, tgname) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT extname FROM pg_extension
    UNION ALL SELECT version_num FROM alembic_version
) AS lines
"""
"""Tells whether two databases have the same schema."""

_MEMORY = Path("/dev/shm")


class Server:
    """A server on a Unix socket; `options` are settings of postgresql.conf."""

    def __init__(self, programs: Path, **options: str) -> None:
        self._programs, self._options = programs, {**OPTIONS, **options}
        memory = _MEMORY if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) else None
        self.directory = Path(tempfile.mkdtemp(prefix="herding-pg-", dir=memory))
        self._numbers = itertools.count(1)
        self._emptied: list[str] = []
        self._cleaners: dict[str, psycopg.Connection] = {}
        self._schema = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _other_user()
        if self._user:
            os.chown(self.directory, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "--no-sync", "--auth=trust", "--username=herding", "--encoding=UTF8", *self._locale())
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {**self._options, "unix_socket_directories": str(self.directory)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [str(self._programs / "postgres"), "-D", str(self._data), *options]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", _WATCH, "sh", *command], stdin=subprocess.PIPE, stdout=log, stderr=log, **self._identity
            )
        self._wait()

    def stop(self) -> None:
        """End it at once, as a crash would; what was committed stays."""
        process, self._process = self._process, None
        if process and process.stdin:
            process.stdin.close()
            process.wait()

    def close(self) -> None:
        """End it and delete its files."""
        for connection in self._cleaners.values():
            connection.close()
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def url(self, name: str) -> str:
        """The URL of a database."""
        return f"postgresql://herding@/{name}?host={self.directory}"

    def sql(self, statement: str, name: str = "postgres") -> None:
        """Run one statement outside a transaction."""
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            connection.execute(statement)

    def create(self, *, migrated: bool = True) -> str:
        """Create a database of the newest schema, or an empty one; return its URL."""
        name = f"test_{next(self._numbers)}"
        source = self._template if migrated else "template0"
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{source}"')
        return self.url(name)

    def drop(self, url: str) -> None:
        """Delete a database, whoever is connected to it."""
        name = url.partition("@/")[2].partition("?")[0]
        self.sql(f'DROP DATABASE "{name}" WITH (FORCE)')

    def lend(self) -> str:
        """Return the URL of an empty database of the newest schema, which `take_back` empties for the next."""
        if self._emptied:
            return self._emptied.pop()
        url = self.create()
        self._schema = self._schema or self._schema_of(url)
        return url

    def take_back(self, url: str) -> None:
        """Empty a database for the next test, which is far cheaper than a new one, unless its schema was changed."""
        try:
            self._cleaner(url).execute(_EMPTY)
        except psycopg.OperationalError:  # the server was started anew, or its connections were cut
            self._cleaners.pop(url).close()
            self._cleaner(url).execute(_EMPTY)
        if self._schema_of(url) == self._schema:
            self._emptied.append(url)
        else:
            self._cleaners.pop(url).close()
            self.drop(url)

    def _schema_of(self, url: str) -> str:
        (found,) = self._cleaner(url).execute(_SCHEMA).fetchone() or ("",)
        return str(found)

    def _cleaner(self, url: str) -> psycopg.Connection:
        """A connection that stays, since a new one would learn all tables first."""
        if url not in self._cleaners:
            connection = psycopg.connect(url, autocommit=True)
            connection.execute("SET session_replication_role = replica")  # children need not go first
            self._cleaners[url] = connection
        return self._cleaners[url]

    @cached_property
    def _template(self) -> str:
        """A database that the migrations ran in, once."""
        self.sql('CREATE DATABASE "migrated"')
        with ThreadPoolExecutor(1) as thread:  # a thread: the caller may be in an event loop
            thread.submit(asyncio.run, _open_once(self.url("migrated"))).result()
        return "migrated"

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _identity(self) -> dict[str, object]:
        """Options of a process that runs as the user of the server, away from directories that it may not enter."""
        who = self._user
        other = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []} if who else {}
        return {**other, "cwd": self.directory}

    def _locale(self) -> list[str]:
        """Sort as people do, where the server can: not in the order of bytes, which is SQLite's."""
        told = subprocess.run([self._programs / "initdb", "--help"], check=True, capture_output=True, text=True).stdout
        natural = ["--locale-provider=icu", "--icu-locale=en-US"] if "--icu-locale" in told else []
        config = self._programs / "pg_config"
        if config.exists() and "--without-icu" in subprocess.check_output([config, "--configure"], text=True):
            natural = []
        return ["--locale=C", *natural]

    def _run(self, program: str, *arguments: str) -> None:
        command = [self._programs / program, "-D", self._data, *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, **self._identity)
        assert done.returncode == 0, f"{program} failed: {done.stderr}"

    def _wait(self) -> None:
        until = time.monotonic() + LONG
        while True:
            try:
                self.sql("SELECT 1")
            except psycopg.OperationalError as error:
                if time.monotonic() > until:
                    log = (self.directory / "log").read_text(errors="replace")
                    raise AssertionError(f"PostgreSQL does not start: {log}") from error
                time.sleep(0.02)
            else:
                return


def _other_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in USERS if name in known)


async def _open_once(url: str) -> None:
    await (await Store.open(url)).close()


@contextmanager
def server(**options: str) -> Iterator[Server | None]:
    """A running server with these settings; None where PostgreSQL is not installed."""
    programs = database.find()
    if programs is None:
        yield None
        return
    made = Server(programs, **options)
    try:
        yield made
    finally:
        made.close()
