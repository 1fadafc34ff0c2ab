"""Erases the content of requests and drafts; counts, times and stars stay."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, select, update

from herding.store import search_index
from herding.store.prompts.tables import draft, draft_step
from herding.store.rows import Row, storable
from herding.store.tables import attempt, comment, request

CHUNK = 200
"""Requests that one task erases."""

BLANK: Row = {
    "session_id": None,
    "variables": {},
    "input": "",
    "answer": "",
    "response": None,
    "error": None,
    "check_failure": None,
}
"""The reason of a failed check may quote the response, and the name of a session is the caller's own text."""


def owned_requests(connection: Connection, principal: str) -> list[str]:
    """Return the ids of all requests of a principal."""
    query = select(request.c.id).where(request.c.principal == storable(principal))
    return list(connection.execute(query).scalars())


def blank_requests(connection: Connection, principal: str, request_ids: Sequence[str]) -> int:
    """Erase the content of those of the requests that are the principal's, and return their number.

    That of a chain's steps, which has the same texts, goes with it; they are not counted.
    """
    ids = [storable(request_id) for request_id in request_ids]
    owned = select(request.c.id).where(request.c.id.in_(ids), request.c.principal == storable(principal))
    given = list(connection.execute(owned).scalars())
    found = [*given, *_steps(connection, given)]
    connection.execute(update(request).where(request.c.id.in_(found)).values(**BLANK))
    _drop_text_parameters(connection, found)
    connection.execute(update(attempt).where(attempt.c.request_id.in_(found)).values(error=None))
    connection.execute(delete(comment).where(comment.c.request_id.in_(found)))
    search_index.remove(connection, found)
    return len(given)


def _steps(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Return the steps of chains, and those of the chains among them."""
    found: list[str] = []
    while ids:
        ids = connection.execute(select(request.c.id).where(request.c.parent.in_(ids))).scalars().all()
        found += ids
    return found


def delete_drafts(connection: Connection, principal: str) -> int:
    """Delete all drafts of a principal with their steps, and return the number of drafts."""
    count = 0
    for table in (draft_step, draft):
        count = connection.execute(delete(table).where(table.c.principal == storable(principal))).rowcount
    return count


def _drop_text_parameters(connection: Connection, ids: Sequence[str]) -> None:
    """Remove the parameters that have texts, such as stop strings and tools."""
    stored = connection.execute(select(request.c.id, request.c.parameters).where(request.c.id.in_(ids)))
    changed = [
        {"the_id": row.id, "numbers": numbers}
        for row in stored
        if (numbers := {n: v for n, v in row.parameters.items() if isinstance(v, int | float)}) != row.parameters
    ]
    if changed:
        change = update(request).where(request.c.id == bindparam("the_id")).values(parameters=bindparam("numbers"))
        connection.execute(change, changed)
