"""Takes the content out of requests, drafts altogether, and the traces of both out of SQLite's files.

SQLite overwrites what is deleted (`secure_delete`), but not what it moved to another page before, and its journal holds
pages as they were, or as they became. So the file is written anew and the journal cut, which takes time in proportion
to its size. PostgreSQL keeps the old rows until they are vacuumed, and its log until it is recycled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from herding.errors import StoreError
from herding.store import driver
from herding.store.engine import LARGEST_JOURNAL
from herding.store.prompt_tables import draft, draft_step
from herding.store.rows import Row, storable
from herding.store.secure_vacuum import rewrite
from herding.store.tables import attempt, comment, request

ERASED = 200
"""Requests that one task erases."""

_BLANK: Row = {
    "session_id": None,
    "variables": {},
    "input": "",
    "answer": "",
    "error": None,
    "check_failure": None,
}
"""The reason of a failed check may quote the answer, and the name of a session is the caller's own text."""


def owned(connection: Connection, principal: str) -> list[str]:
    """The ids of all requests of a principal."""
    mine = select(request.c.id).where(request.c.principal == storable(principal))
    return list(connection.execute(mine).scalars())


def blank(principal: str, request_ids: Sequence[str]) -> Callable[[Connection], int]:
    """A task that blanks those of the requests that are the principal's, and says how many."""
    ids, principal = [storable(request_id) for request_id in request_ids], storable(principal)

    def task(connection: Connection) -> int:
        own = select(request.c.id).where(request.c.id.in_(ids), request.c.principal == principal)
        found = list(connection.execute(own).scalars())
        connection.execute(update(request).where(request.c.id.in_(found)).values(**_BLANK))
        _drop_stops(connection, found)
        connection.execute(update(attempt).where(attempt.c.request_id.in_(found)).values(error=None))
        connection.execute(delete(comment).where(comment.c.request_id.in_(found)))
        return len(found)

    return task


def drop_drafts(principal: str) -> Callable[[Connection], int]:
    """A task that deletes all drafts of a principal with their steps, and says how many."""
    principal = storable(principal)

    def task(connection: Connection) -> int:
        connection.execute(delete(draft_step).where(draft_step.c.principal == principal))
        return int(connection.execute(delete(draft).where(draft.c.principal == principal)).rowcount)

    return task


def _drop_stops(connection: Connection, ids: Sequence[str]) -> None:
    """Stop strings are texts as well; the other parameters are numbers."""
    stored = connection.execute(select(request.c.id, request.c.parameters).where(request.c.id.in_(ids)))
    kept = [
        {"the_id": row.id, "kept": {name: value for name, value in row.parameters.items() if name != "stop"}}
        for row in stored
        if row.parameters.get("stop")
    ]
    if kept:
        change = update(request).where(request.c.id == bindparam("the_id")).values(parameters=bindparam("kept"))
        connection.execute(change, kept)


def purge(connection: Any) -> None:
    """Takes the traces of what was erased out of the files; `connection` is the driver's own. Raises StoreError."""
    if not isinstance(connection, driver.SQLITE.Connection):
        return
    connection.execute("PRAGMA journal_size_limit = 0")
    try:
        if connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
            rewrite(connection)
        else:
            connection.execute("VACUUM")
    finally:
        connection.execute(f"PRAGMA journal_size_limit = {LARGEST_JOURNAL}")
    busy, _pages, _copied = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StoreError("The texts are erased, but another program keeps their old copies open. Erase them again.")
