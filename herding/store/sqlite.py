"""SQLite: the driver, the journal mode, the settings of connections, and the removal of deleted content."""

from __future__ import annotations

import re
import sqlite3
from contextlib import suppress
from importlib import import_module
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from herding.errors import StoreError

LOCK_WAIT = 10_000
"""Milliseconds that SQLite waits for a lock."""

JOURNAL_BYTES = 16 * 1024 * 1024
"""Maximum size of the journal file between transactions."""

CHECKPOINT_PAGES = 4_000
"""Pages (4 KiB) in the write-ahead log that trigger a checkpoint."""

ROLLBACK = "persist"
"""The rollback journal mode. With `synchronous=FULL` it survives a power cut, which `delete` does not (the directory
is not synced), and it is faster than `truncate`."""

Version = tuple[int, int, int]

_MOUNTS = Path("/proc/mounts")
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|smb3|ncpfs|afs|9p|ceph|glusterfs|lustre|gfs2?|ocfs2|davfs2?|beegfs|orangefs|fuse|fuse\..+"
)


def newest_driver() -> ModuleType:
    """Return the driver with the newer SQLite: the standard library's, or pysqlite3 where it is installed."""
    try:
        other = import_module("pysqlite3.dbapi2")
    except ImportError:
        return sqlite3
    return max(sqlite3, other, key=lambda module: module.sqlite_version_info)


DRIVER = newest_driver()
"""The PEP 249 module for all connections.

Nothing else in the process may open the store's file: two SQLite libraries do not see each other's locks, and when one
of them closes the file, the system drops the locks of the other.
"""


def journal_mode(version: Version, *, network: bool) -> str:
    """Return `wal` where it is safe, else a rollback journal.

    WAL needs shared memory, so it does not work across a network. Before 3.51.3 (and 3.50.7 and 3.44.6 of the older
    lines) a checkpoint that meets a commit of another connection can corrupt the file (https://sqlite.org/wal.html).
    """
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51, 0) or (3, 44, 6) <= version < (3, 45, 0)
    return "wal" if fixed and not network else ROLLBACK


def network_filesystem(path: Path) -> str | None:
    """Return the type of the network file system that holds `path`, None for a local disk."""
    return find_network_mount(str(path.resolve()), _MOUNTS.read_text("utf-8")) if _MOUNTS.exists() else None


def find_network_mount(path: str, mounts: str) -> str | None:
    """Return the type of the network file system that holds the absolute `path`; `mounts` is `/proc/mounts`."""
    found, kind = PurePosixPath("/"), ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = PurePosixPath(_unescape(fields[1]))
        # A later line covers an earlier one at the same place.
        if PurePosixPath(path).is_relative_to(place) and len(place.parts) >= len(found.parts):
            found, kind = place, fields[2]
    return kind if _NETWORK.fullmatch(kind) else None


def _unescape(text: str) -> str:
    """Decode space, tab, newline and backslash, which the kernel writes as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


class OpenFile:
    """The file of an engine, which must stay where it is while the app runs.

    If another program moves, deletes or replaces it, its connections go on with the file that has no name any more:
    what they commit would be lost, or would damage the new file through the write-ahead log, which has the same name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[int, int] | None = None
        self.check()

    def check(self) -> None:
        """Raise StoreError if the path names another file than when the engine was made, or none."""
        try:
            status = self._path.stat()
            found = status.st_dev, status.st_ino
        except OSError:
            found = None
        if self._known is None:
            self._known = found
        elif found != self._known:
            raise StoreError(
                "The database file was moved, deleted or replaced while Herding runs. Put it back, or restart Herding "
                "to use the file that is there now.",
                detail=str(self._path),
            )

    def check_or_detach(self, connection: Any) -> None:
        """Do as `check`, but before the error move all commits from the write-ahead log into the file itself."""
        try:
            self.check()
        except StoreError:
            with suppress(DRIVER.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            raise


def configure_reader(connection: Any, _record: object = None) -> None:
    """Set up a connection that cannot write."""
    _configure(connection)
    connection.execute("PRAGMA query_only = ON")
    # SQLite's own `lower` handles ASCII letters only.
    connection.create_function("fold", 1, lambda text: text and text.casefold(), deterministic=True)


def configure_writer(connection: Any, journal: str) -> None:
    """Set up a connection that writes: durable commits, deleted content overwritten."""
    _configure(connection)
    (found,) = connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()
    if found != journal:  # the disk has no shared memory, which WAL needs
        connection.execute(f"PRAGMA journal_mode = {ROLLBACK}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
    connection.execute("PRAGMA secure_delete = ON")


def _configure(connection: Any) -> None:
    connection.isolation_level = None  # transactions begin explicitly
    connection.execute(f"PRAGMA busy_timeout = {LOCK_WAIT}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -16384")


def purge(connection: Any) -> None:
    """Remove deleted content from the files of a driver connection, outside a transaction.

    `secure_delete` overwrites deleted rows, but not copies that moved between pages or stand in the journal, and the
    index of the search only notes what is deleted. So index and file are rewritten and the journal cut, which takes
    time in proportion to the size of the file. Other databases are left alone: PostgreSQL keeps old rows until its
    vacuum. Raises StoreError where another program reads old pages.
    """
    if not isinstance(connection, DRIVER.Connection):
        return
    for index in ("search_index", "chunk_index"):
        if connection.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", (index,)).fetchone()[0]:
            connection.execute(f"INSERT INTO {index} ({index}) VALUES ('optimize')")  # noqa: S608 (names of ours)
    connection.execute("PRAGMA journal_size_limit = 0")
    try:
        connection.execute("VACUUM")
    finally:
        connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
    busy, _pages, _copied = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StoreError("The texts are erased, but another program still reads their old copies. Erase them again.")
