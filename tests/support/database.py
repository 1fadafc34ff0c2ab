"""Databases that are migrated already: SQLite files, or databases on a server; and what a file holds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import Connection

from herding.store import Store, sqlite
from herding.values import Limit, Outcome
from tests.support.postgres import Server

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
"""Parameters of the fixture `database`."""


def on_each(metafunc: pytest.Metafunc) -> None:
    """Run a test on each kind of database, if it uses one; on SQLite if it is the same on all of them."""
    if "database" in metafunc.fixturenames:
        one = metafunc.definition.get_closest_marker("one_database")
        metafunc.parametrize("database", KINDS[:1] if one else KINDS, indirect=True)


class _Used:
    """The server of the running test, None for SQLite; and its databases, by the data directory of each app."""

    server: Server | None = None
    urls: dict[Path, str] = {}  # noqa: RUF012 (one test runs at a time)


@contextmanager
def on(server: Server | None) -> Iterator[None]:
    """Let apps that start meanwhile use a PostgreSQL server, or SQLite with None; the databases are emptied."""
    _Used.server, _Used.urls = server, {}
    try:
        yield
    finally:
        if server:
            for url in _Used.urls.values():
                server.take_back(url)
        _Used.server, _Used.urls = None, {}


def database_url(home: Path) -> str:
    """The URL of the database of an app with this data directory, the same at each start."""
    if _Used.server is None:
        return f"sqlite:///{quote(str(new_database(home / 'herding.sqlite').absolute()))}"
    if home not in _Used.urls:
        _Used.urls[home] = _Used.server.lend()
    return _Used.urls[home]


def rows(file: Path) -> list[str]:
    """All rows of all tables, a line each, by the store's own library: another would take its locks away."""
    with closing(sqlite.DRIVER.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        return [f"{table} {row}" for (table,) in tables for row in connection.execute(f'SELECT * FROM "{table}"')]


def new_database(path: Path) -> Path:
    """Put an empty database of the newest schema at `path`, unless there is one: a copy, which saves the migrations."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_bytes(_migrated())
    return path


@cache
def _migrated() -> bytes:
    with TemporaryDirectory() as directory, ThreadPoolExecutor(1) as thread:
        path = Path(directory) / "new.sqlite"
        thread.submit(asyncio.run, _open_once(path)).result()  # a thread: the caller may be in an event loop
        return path.read_bytes()


async def _open_once(path: Path) -> None:
    await (await Store.open(f"sqlite:///{path}")).close()


async def reserve(store: Store, outcome: Outcome, *, limits: Sequence[Limit], tokens: int, **more: Any) -> None:
    """Admit a request and wait until its entry is committed."""
    await (await store.admit(outcome, limits=limits, tokens=tokens, **more))


@contextmanager
def held_writer(store: Store) -> Iterator[None]:
    """Keep the writer of a store from its next batch."""
    started, gate = threading.Event(), threading.Event()
    ended = threading.Event()

    def wait(_: Connection) -> None:
        started.set()
        gate.wait(30)
        ended.set()

    store._writer.call(wait)
    store._writer._wake()  # else the event loop would, after this
    assert started.wait(30)
    try:
        yield
        assert not ended.is_set(), "the test waited for the writer that it held"
    finally:
        gate.set()
