"""A file written anew: what others write meanwhile is kept, and no copy stays behind."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from herding.errors import StoreError
from herding.store import driver
from herding.store.secure_vacuum import rewrite

ROWS = 2_000
CANARY = b"canary"


def opened(path: Path, **more: Any) -> Any:
    return driver.SQLITE.connect(path, isolation_level=None, timeout=0.05, **more)


@pytest.fixture
def other(path: Path) -> Iterator[Any]:
    """Another program's connection."""
    path.parent.mkdir()
    with closing(opened(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE text (id INTEGER PRIMARY KEY, words BLOB)")
        connection.executemany("INSERT INTO text (words) VALUES (?)", [(CANARY * 100,)] * ROWS)
        yield connection


@pytest.fixture
def writer(path: Path, other: Any) -> Iterator[Any]:
    """The connection that rewrites, and after a copy does what `between` says."""

    class Writer(driver.SQLITE.Connection):  # type: ignore[name-defined]
        between: Callable[[Path], object] = staticmethod(lambda copy: None)

        def execute(self, statement: str, *values: Any) -> Any:
            found = super().execute(statement, *values)
            if statement.startswith("VACUUM INTO"):
                self.between(Path(values[0][0]))
            return found

    with closing(opened(path, factory=Writer)) as connection:
        yield connection


def files(path: Path) -> list[str]:
    return sorted(file.name.removeprefix(path.name) for file in path.parent.iterdir())


def count(connection: Any) -> int:
    found: int = connection.execute("SELECT count(*) FROM text").fetchone()[0]
    return found


def test_what_was_deleted_is_gone_and_the_rest_is_there(writer: Any, other: Any, path: Path) -> None:
    other.execute("DELETE FROM text WHERE id > 1")
    rewrite(writer)
    assert writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert sum(file.read_bytes().count(CANARY) for file in path.parent.iterdir()) == 100
    assert count(other) == 1


def test_the_copy_is_private_and_goes_with_those_that_a_kill_left(writer: Any, path: Path) -> None:
    path.with_name(f"{path.name}-rewritten-old").touch()
    seen = []
    writer.between = lambda copy: seen.append((stat.S_IMODE(copy.stat().st_mode), files(path)))
    rewrite(writer)
    [(mode, during)] = seen
    assert mode == 0o600
    assert len([name for name in during if "rewritten" in name]) == 1
    assert files(path) == ["", "-shm", "-wal"]


def test_what_another_program_writes_meanwhile_is_kept(writer: Any, other: Any, path: Path) -> None:
    copies = []

    def write(copy: Path) -> None:
        copies.append(copy)
        if len(copies) == 1:
            other.execute("INSERT INTO text (words) VALUES ('late')")

    writer.between = write
    rewrite(writer)
    assert len(copies) == 2
    assert count(writer) == ROWS + 1
    assert files(path) == ["", "-shm", "-wal"]


def test_a_program_that_writes_all_the_time_is_told_of(writer: Any, other: Any, path: Path) -> None:
    writer.between = lambda copy: other.execute("INSERT INTO text (words) VALUES ('late')")
    with pytest.raises(StoreError, match="write all the time"):
        rewrite(writer)
    assert count(writer) == ROWS + 3
    assert files(path) == ["", "-shm", "-wal"]


def test_a_program_that_holds_the_file_is_told_of(writer: Any, other: Any, path: Path) -> None:
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="holds the database"):
        rewrite(writer)
    other.execute("COMMIT")
    assert files(path) == ["", "-shm", "-wal"]
    rewrite(writer)
    assert count(other) == ROWS


def test_a_copy_that_was_taken_away_is_not_put_back(writer: Any, other: Any) -> None:
    writer.between = Path.unlink
    with pytest.raises(driver.SQLITE.OperationalError, match="unable to open"):
        rewrite(writer)
    assert count(other) == ROWS
