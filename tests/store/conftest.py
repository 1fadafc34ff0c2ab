"""A store in a file of its own, and outcomes to put into it."""

from __future__ import annotations

import inspect
import os
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import event

import herding
from herding.store import Store, sqlite
from herding.values import Outcome
from tests.support.database import held_writer, new_database, on_each
from tests.support.postgres import Server

Make = Callable[..., Outcome]


@pytest.fixture(params=["newest", "standard"])
def library(request, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The SQLite of the store, and of whoever else opens its file here: the newest at hand, then Python's own."""
    if request.param == "standard":
        monkeypatch.setattr(sqlite, "DRIVER", sqlite3)
    return sqlite.DRIVER


@pytest.fixture
def environment(library: ModuleType, tmp_path: Path) -> dict[str, str]:
    """For another process of ours, which uses the same library as this one."""
    places = [Path(herding.__file__).parents[1]]
    if library is sqlite3:
        without = tmp_path / "without"
        without.mkdir()
        (without / "pysqlite3.py").write_text("raise ImportError")
        places.append(without)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "my data? ünïcode #1 100%" / "herding.db"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on each kind of database, unless it is about the files or the library of SQLite."""
    own = set(inspect.signature(metafunc.function).parameters)
    names = set(metafunc.fixturenames)
    about_files = {"path", "at_begin"} & own or "library" in names
    if {"store", "url"} & names and not about_files and not metafunc.definition.get_closest_marker("sqlite"):
        on_each(metafunc)


@pytest.fixture
def url(request: pytest.FixtureRequest, database: str) -> Iterator[str]:
    """A database that does not exist yet on SQLite, and is empty on PostgreSQL."""
    if database == "sqlite":
        yield f"sqlite:///{quote(str(request.getfixturevalue('path')))}"
        return
    server: Server = request.getfixturevalue("postgres_server")
    if "store" in request.fixturenames:
        lent = server.lend()
        yield lent
        server.take_back(lent)
        return
    made = server.create(migrated=False)
    yield made
    server.drop(made)


@pytest.fixture
async def store(request: pytest.FixtureRequest, url: str, database: str) -> AsyncIterator[Store]:
    if database == "sqlite":
        new_database(request.getfixturevalue("path"))
    opened = await Store.open(url)
    yield opened
    await opened.close()


@pytest.fixture
def outcome() -> Make:
    def make(number: int = 0, **changes: Any) -> Outcome:
        defaults: dict[str, Any] = {
            "request_id": uuid.UUID(int=number).hex,
            "principal": "ada",
            "prompt": "greet",
            "created_at": 1_000 + number,
            "status": "succeeded",
        }
        return Outcome(**defaults | changes)

    return make


@pytest.fixture
def busy_writer(store: Store) -> Callable[[], AbstractContextManager[None]]:
    """Keeps the writer from its next batch, so that all that is queued meanwhile becomes one."""
    return partial(held_writer, store)


@pytest.fixture
def commits(store: Store) -> list[object]:
    """Grows by one with every transaction that the writer commits."""
    seen: list[object] = []
    event.listen(store._writer._engine, "commit", seen.append)
    return seen


@pytest.fixture
def at_begin(store: Store) -> Callable[[str], None]:
    """Runs a statement at the start of each of the writer's transactions from now on: makes trouble, and ends it."""
    current: list[str] = []

    def run(connection: Any) -> None:
        connection.exec_driver_sql(current[-1])

    def choose(statement: str) -> None:
        if not current:
            event.listen(store._writer._engine, "begin", run)
        current.append(statement)

    return choose
