"""Writes a SQLite file with a write-ahead log anew, so that nothing of what was deleted is left between its rows.

A plain VACUUM does the same, but some libraries are built to make its copy in memory, where a long history may not
fit. So the copy is made on the disk, beside the file, and put back in one transaction.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from herding.errors import StoreError
from herding.store import driver

TRIES = 3
"""How often a copy is made anew because another program wrote meanwhile."""

STEP = 1_000
"""Pages that are put back at once."""


class _Overtaken(Exception):
    """Another connection wrote after the copy was begun."""


def rewrite(connection: Any) -> None:
    """Rewrites the file of `connection`, the driver's own, outside a transaction; others may read meanwhile.

    The disk needs room for a copy and for a log of the same size. Raises StoreError where other programs leave no
    moment for it, and the driver's errors; the file then holds what it held.
    """
    file = Path(connection.execute("PRAGMA database_list").fetchone()[2])
    for _ in range(TRIES):
        with _copy(file) as copy, closing(_opened(file)) as witness, suppress(_Overtaken):
            before = _version(witness)
            connection.execute("VACUUM INTO ?", (str(copy),))
            _put_back(copy, connection, witness, before)
            return
    raise StoreError("The texts are erased, but other programs write all the time. Stop them, and erase them again.")


def _put_back(copy: Path, connection: Any, witness: Any, before: int) -> None:
    """Only the first step looks, and it must not be the last: the lock is held from there on, up to the commit."""
    locked = False

    def look(status: int, _remaining: int, _total: int) -> None:
        nonlocal locked
        if status in (driver.SQLITE.SQLITE_BUSY, driver.SQLITE.SQLITE_LOCKED):  # the driver itself would wait for ever
            raise StoreError("The texts are erased, but another program holds the database. Erase them again.")
        if not locked and _version(witness) != before:
            raise _Overtaken
        locked = True

    with closing(_opened(copy)) as source:
        source.execute("BEGIN")  # or each step would lock the copy anew
        (pages,) = source.execute("PRAGMA page_count").fetchone()
        source.backup(connection, pages=min(STEP, pages - 1), progress=look)


@contextmanager
def _copy(file: Path) -> Iterator[Path]:
    """An empty file beside `file` that only we may read, gone in the end; what a kill left behind goes first."""
    prefix = f"{file.name}-rewritten-"
    for old in file.parent.iterdir():
        if old.name.startswith(prefix):
            old.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix=prefix, dir=file.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _opened(file: Path) -> Any:
    """A connection to a file that must be there: an empty one in its place would be put back as if it were the copy."""
    return driver.SQLITE.connect(f"{file.as_uri()}?mode=rw", uri=True, isolation_level=None)


def _version(witness: Any) -> int:
    """A number that changes when any other connection commits."""
    found: int = witness.execute("PRAGMA data_version").fetchone()[0]
    return found
