"""Database files: new ones that are migrated already, and what a file holds, seen from beside the app."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from herding.store import Store, sqlite


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
