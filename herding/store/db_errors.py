"""Database errors in words that say what to do."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from herding.errors import HerdingError, StoreError

_ADVICE = {
    "SQLITE_FULL": "The disk (or its quota) is full. Free some space and try again.",
    "SQLITE_READONLY": "The database is read-only. Make its file and directory writable and try again.",
    "SQLITE_BUSY": "The database is locked by another program. Try again, or stop the program that holds it.",
    "SQLITE_LOCKED": "The database is locked. Try again.",
    "SQLITE_CANTOPEN": "The database file cannot be opened. Check that its directory exists and is writable.",
    "SQLITE_IOERR": "The disk reported an error. Check the disk, its free space and its quota.",
    "SQLITE_CORRUPT": "The database file is damaged. Stop Herding, keep the file, and restore a backup in its place.",
    "SQLITE_NOTADB": "The file is not a database. Point DATABASE_URL to another file, or restore a backup.",
    "SQLITE_PERM": "The database may not be accessed. Check the rights of its file and directory.",
    "SQLITE_TOOBIG": "A text is too long for the database. Shorten it.",
}
_PASSING = ("SQLITE_BUSY", "SQLITE_LOCKED")


def kind(error: BaseException) -> str:
    """SQLite's primary name of an error, such as `SQLITE_FULL`; empty where there is none."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(cause, "sqlite_errorname", None) or ""
    return "_".join(name.split("_")[:2])


def is_passing(error: BaseException) -> bool:
    """Whether the same transaction may well succeed when it is simply tried again: a lock, a lost connection."""
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return lost or isinstance(error, DisconnectionError) or kind(error) in _PASSING


def explained(error: BaseException) -> HerdingError:
    """`error` as the caller should see it; an error of ours stays what it is."""
    if isinstance(error, HerdingError):
        return error
    if isinstance(error, PoolTimeoutError):
        return StoreError("All connections to the database are in use. Try again.")
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    advice = _ADVICE.get(kind(error), "The database did not take or give the data.")
    return StoreError(f"{advice} (Database: {cause})")
