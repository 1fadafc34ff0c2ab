"""Drafts and the steps of their making: bulk statements of the writer, and reads.

A save looks at nothing first: what becomes a step is decided inside of the statements, so that many people can type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Select,
    bindparam,
    delete,
    func,
    literal,
    or_,
    select,
    true,
)

from herding.store.inserts import insert_into, upsert
from herding.store.prompt_tables import draft, draft_step
from herding.store.rows import Row, storable
from herding.values import Draft, DraftStep

STEP_MS = 10_000
"""A text that comes this long after the last step, or that stood for so long, is a step."""

LARGE = 40
"""A text whose length differs from the last step's by more characters than this is a step at once."""

MOST_STEPS = 200
"""Steps of one draft; the oldest go."""

_WHO = bindparam("who", type_=draft_step.c.principal.type)
_WHAT = bindparam("what", type_=draft_step.c.key.type)
_TEXT = bindparam("new", type_=draft_step.c.content.type)
_NOW = bindparam("now", type_=draft_step.c.at.type)
_KNOWN = bindparam("known", type_=draft_step.c.content.type)
_STEPS = (draft_step.c.principal == _WHO, draft_step.c.key == _WHAT)
_DRAFT = (draft.c.principal == _WHO, draft.c.key == _WHAT)
_COLUMNS = ("principal", "key", "seq", "content", "at")


def statements(dialect: str) -> dict[str, Executable]:
    """The bulk statements by name, in their order: what is discarded and saved in one batch stays saved.

    `draft_stood` looks at the old text, so it runs before `draft` overwrites that.
    """
    oldest = select(func.max(draft_step.c.seq) - MOST_STEPS).where(*_STEPS)
    return {
        "draft_gone": delete(draft).where(*_DRAFT),
        "draft_steps_gone": delete(draft_step).where(*_STEPS),
        "draft_stood": _append(dialect, _stood()),
        "draft": upsert(dialect, draft),
        "draft_step": _append(dialect, _changed()),
        "draft_steps_kept": delete(draft_step).where(*_STEPS, draft_step.c.seq <= oldest.scalar_subquery()),
    }


def saved(*, principal: str, key: str, content: str, base: int, at: int, known: str | None) -> dict[str, Sequence[Row]]:
    """The rows that save a draft; another text than `known` that is there becomes a step, whatever its age."""
    principal, key, content = storable(principal), storable(key), storable(content)
    whose, text = {"who": principal, "what": key}, {"new": content, "now": at}
    row = {"principal": principal, "key": key, "content": content, "base": base, "updated_at": at}
    return {
        "draft_stood": [whose | text | {"known": None if known is None else storable(known)}],
        "draft": [row],
        "draft_step": [whose | text],
        "draft_steps_kept": [whose],
    }


def discarded(*, principal: str, key: str) -> Mapping[str, Sequence[Row]]:
    """The rows that delete a draft with its steps."""
    whose = {"who": storable(principal), "what": storable(key)}
    return {"draft_gone": [whose], "draft_steps_gone": [whose]}


def one(connection: Connection, principal: str, key: str) -> Draft | None:
    """Somebody's draft of a prompt."""
    query = select(draft).where(draft.c.principal == storable(principal), draft.c.key == storable(key))
    found = connection.execute(query).first()
    return Draft(**found._asdict()) if found else None


def several(connection: Connection, principal: str) -> tuple[Draft, ...]:
    """All drafts of somebody, the one that changed last first."""
    query = (
        select(draft).where(draft.c.principal == storable(principal)).order_by(draft.c.updated_at.desc(), draft.c.key)
    )
    return tuple(Draft(**found._asdict()) for found in connection.execute(query))


def steps(connection: Connection, principal: str, key: str) -> tuple[DraftStep, ...]:
    """The steps of a draft, oldest first."""
    columns = (draft_step.c.seq, draft_step.c.content, draft_step.c.at)
    mine = (draft_step.c.principal == storable(principal), draft_step.c.key == storable(key))
    return tuple(DraftStep(*found) for found in connection.execute(select(*columns).where(*mine).order_by(columns[0])))


def editors(connection: Connection, key: str, *, since: int) -> tuple[str, ...]:
    """Who changed a draft of a prompt at an instant (Unix milliseconds) or later, by name."""
    query = select(draft.c.principal).where(draft.c.key == storable(key), draft.c.updated_at >= since)
    return tuple(connection.execute(query.order_by(draft.c.principal)).scalars())


def _append(dialect: str, found: Select[Any]) -> Executable:
    """An insert of the steps that are found; another process may have been faster."""
    statement: Executable = insert_into(dialect, draft_step).from_select(_COLUMNS, found).on_conflict_do_nothing()
    return statement


def _stood() -> Select[Any]:
    """The text that is about to be overwritten, where it stood for long or nobody knows it, and no step has it yet."""
    last, seq = _last()
    columns = (draft.c.principal, draft.c.key, seq, draft.c.content, draft.c.updated_at)
    return (
        select(*columns)
        .select_from(draft.outerjoin(last, true()))
        .where(
            *_DRAFT,
            draft.c.content != _TEXT,
            or_(_long_ago(draft.c.updated_at), draft.c.content != _KNOWN),
            or_(last.c.seq.is_(None), last.c.content != draft.c.content),
        )
    )


def _changed() -> Select[Any]:
    """The new text, where it is the first one, or comes long after the last step, or differs much from it."""
    last, seq = _last()
    nothing = select(literal(1).label("one")).subquery()
    grown = func.abs(func.length(last.c.content) - func.length(_TEXT)) > LARGE
    return (
        select(_WHO, _WHAT, seq, _TEXT, _NOW)
        .select_from(nothing.outerjoin(last, true()))
        .where(or_(last.c.seq.is_(None), (last.c.content != _TEXT) & or_(_long_ago(last.c.at), grown)))
    )


def _last() -> tuple[Any, ColumnElement[int]]:
    """The last step of the draft, and the number of the next one."""
    last = select(draft_step).where(*_STEPS).order_by(draft_step.c.seq.desc()).limit(1).subquery()
    return last, func.coalesce(last.c.seq, 0) + 1


def _long_ago(instant: ColumnElement[int]) -> ColumnElement[bool]:
    """Also true where the clock went back by as much."""
    return func.abs(_NOW - instant) >= STEP_MS
