"""Drafts of prompts, and the steps to go back to."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, insert, select

from herding.errors import DraftConflictError, UserError
from herding.store.prompts.tables import draft, draft_step
from herding.store.prompts.versions import LAST_NUMBER
from herding.store.rows import storable
from herding.store.tables import upsert
from herding.values import ANY_DRAFT, Draft, DraftStep, SeenDraft

STEP_MS = 10_000
"""A text that comes this long after the last step, or that stood this long, becomes a step."""

LARGE_CHANGE = 40
"""Characters of difference in length from the last step that make a text a step at once."""

MAX_STEPS = 200
"""Steps kept of one draft."""


def save(connection: Connection, edited: Draft, known: str | None, seen: SeenDraft = ANY_DRAFT) -> None:
    """Write a draft, and add steps for the text that it overwrites and for its own where they deserve one.

    A text that is overwritten becomes a step if it stood for long, or if it is not the `known` one. Raises
    DraftConflictError for a stored draft that differs from the `seen` one, and was saved by another page.
    """
    if edited.base > LAST_NUMBER:
        raise UserError(f"Prompt '{edited.key[:64]}' has no version {edited.base}.", param="base")
    row = {
        "principal": storable(edited.principal),
        "key": storable(edited.key),
        "content": storable(edited.content),
        "base": edited.base,
        "updated_at": edited.updated_at,
        "page": storable(edited.page),
    }
    found = find(connection, edited.principal, edited.key)
    _refuse_changed(found, seen)
    last = _last_step(connection, edited)
    if found and found.content != row["content"] and (last is None or last.content != found.content):
        unknown = known is not None and found.content != storable(known)
        if unknown or _is_long(found.updated_at, edited.updated_at):
            last = _add_step(connection, row, found.content, found.updated_at, last)
    if last is None or (
        last.content != row["content"]
        and (_is_long(last.at, edited.updated_at) or abs(len(last.content) - len(row["content"])) > LARGE_CHANGE)
    ):
        last = _add_step(connection, row, row["content"], edited.updated_at, last)
    connection.execute(upsert(connection.dialect.name, draft), row)
    old = draft_step.c.seq <= last.seq - MAX_STEPS
    connection.execute(delete(draft_step).where(*_of(draft_step, edited.principal, edited.key), old))


def discard(connection: Connection, principal: str, key: str, seen: SeenDraft = ANY_DRAFT) -> None:
    """Delete a draft with its steps. Raises DraftConflictError as `save` does."""
    _refuse_changed(find(connection, principal, key), seen)
    for table in (draft, draft_step):
        connection.execute(delete(table).where(*_of(table, principal, key)))


def find(connection: Connection, principal: str, key: str) -> Draft | None:
    """Return the draft that a principal has of a prompt."""
    found = connection.execute(select(draft).where(*_of(draft, principal, key))).first()
    return Draft(**found._asdict()) if found else None


def all_of(connection: Connection, principal: str) -> tuple[Draft, ...]:
    """Return all drafts of a principal, the last changed first."""
    query = select(draft).where(draft.c.principal == storable(principal))
    rows = connection.execute(query.order_by(draft.c.updated_at.desc(), draft.c.key))
    return tuple(Draft(**row._asdict()) for row in rows)


def steps(connection: Connection, principal: str, key: str) -> tuple[DraftStep, ...]:
    """Return the steps of a draft, oldest first."""
    columns = (draft_step.c.seq, draft_step.c.content, draft_step.c.at)
    query = select(*columns).where(*_of(draft_step, principal, key)).order_by(draft_step.c.seq)
    return tuple(DraftStep(*row) for row in connection.execute(query))


def editors(connection: Connection, key: str, *, since: int) -> tuple[str, ...]:
    """Return who changed a draft of a prompt at an instant (Unix milliseconds) or later, by name."""
    query = select(draft.c.principal).where(draft.c.key == storable(key), draft.c.updated_at >= since)
    return tuple(connection.execute(query.order_by(draft.c.principal)).scalars())


def _refuse_changed(stored: Draft | None, seen: SeenDraft) -> None:
    if stored is not None and not seen.may_replace(stored):
        raise DraftConflictError


def _of(table: Table, principal: str, key: str) -> tuple[ColumnElement[bool], ...]:
    return table.c.principal == storable(principal), table.c.key == storable(key)


def _last_step(connection: Connection, edited: Draft) -> DraftStep | None:
    columns = (draft_step.c.seq, draft_step.c.content, draft_step.c.at)
    query = select(*columns).where(*_of(draft_step, edited.principal, edited.key))
    found = connection.execute(query.order_by(draft_step.c.seq.desc()).limit(1)).first()
    return DraftStep(*found) if found else None


def _add_step(connection: Connection, row: dict[str, Any], content: str, at: int, last: DraftStep | None) -> DraftStep:
    step = DraftStep(last.seq + 1 if last else 1, content, at)
    whose = {"principal": row["principal"], "key": row["key"]}
    connection.execute(insert(draft_step), {**whose, "seq": step.seq, "content": step.content, "at": step.at})
    return step


def _is_long(since: int, now: int) -> bool:
    """Return whether a step's time has passed, also if the clock went back by as much."""
    return abs(now - since) >= STEP_MS
