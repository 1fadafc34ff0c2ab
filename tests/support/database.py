"""What a database holds, seen from beside the app."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from herding.store import sqlite


def rows(file: Path) -> list[str]:
    """All rows of all tables, a line each, by the store's own library: another would take its locks away."""
    with closing(sqlite.DRIVER.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        return [f"{table} {row}" for (table,) in tables for row in connection.execute(f'SELECT * FROM "{table}"')]
