"""What can be asked of the history. Every function here is one short read transaction's worth of work."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Text, and_, cast, func, or_, select, tuple_

from herding.store.rows import storable, to_attempt, to_outcome
from herding.store.tables import attempt, comment, request, score
from herding.values import Attempt, Entry, HistoryFilter, Outcome, Page

CHUNK = 500
"""Entries that one statement loads."""


@dataclass(frozen=True, slots=True)
class Facets:
    """What occurs in the history, sorted: the choices of its filters."""

    prompts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


class Key(NamedTuple):
    """A request's place in the history, which goes from the greatest to the smallest."""

    created_at: int
    id: str


class Window(NamedTuple):
    """The fitting requests of one stretch of history, newest first; the next stretch is older than `end`."""

    keys: list[Key]
    end: Key | None


_key = tuple_(request.c.created_at, request.c.id)
_newest_first = (request.c.created_at.desc(), request.c.id.desc())


def find(connection: Connection, request_id: str, *, viewer: str, owner: str | None) -> Entry | None:
    """One request as `viewer` sees it; None if it is missing, or not of `owner` where one is given."""
    found = load(connection, [storable(request_id)], viewer=viewer)
    return found[0] if found and owner in (None, found[0].outcome.principal) else None


def page(connection: Connection, where: HistoryFilter, *, viewer: str, offset: int, limit: int) -> Page:
    """A page of a history without a text filter; the total is exact."""
    fitting = _indexed(where, viewer)
    total = connection.execute(select(func.count()).select_from(request).where(*fitting)).scalar_one()
    ids = select(request.c.id).where(*fitting).order_by(*_newest_first).offset(offset).limit(limit)
    return Page(tuple(load(connection, connection.execute(ids).scalars().all(), viewer=viewer)), total)


def window(connection: Connection, where: HistoryFilter, *, viewer: str, before: Key | None, size: int) -> Window:
    """Looks through the next `size` requests that fit the indexed filters for those that fit the text as well."""
    fitting = _indexed(where, viewer)
    if before is not None:
        fitting.append(_key < tuple_(*before))
    last = connection.execute(_keys(fitting).offset(size - 1).limit(1)).first()
    end = Key(last.created_at, last.id) if last else None
    if end is not None:
        fitting.append(_key >= tuple_(*end))
    if where.text:
        fitting.append(_mentions(where.text, viewer, connection.dialect.name))
    keys = [Key(row.created_at, row.id) for row in connection.execute(_keys(fitting))]
    return Window(keys, end)


def load(connection: Connection, ids: Sequence[str], *, viewer: str) -> list[Entry]:
    """The entries of `ids`, in that order; ids that are gone are left out."""
    found: dict[str, Entry] = {}
    for start in range(0, len(ids), CHUNK):
        some = ids[start : start + CHUNK]
        tries = _attempts(connection, some)
        for row in connection.execute(_seen_by(viewer).where(request.c.id.in_(some))):
            outcome = to_outcome(row._asdict(), tries.get(row.id, ()))
            found[row.id] = Entry(outcome, row.viewer_stars, row.viewer_comment)
    return [found[request_id] for request_id in ids if request_id in found]


def session(connection: Connection, principal: str, session_id: str, *, limit: int) -> tuple[Outcome, ...]:
    """The latest succeeded requests of a session, oldest first."""
    here = (request.c.principal == storable(principal), request.c.session_id == storable(session_id))
    ids = select(request.c.id).where(*here, request.c.status == "succeeded").order_by(*_newest_first).limit(limit)
    found = load(connection, connection.execute(ids).scalars().all(), viewer=principal)
    return tuple(entry.outcome for entry in reversed(found))


def facets(connection: Connection, *, principal: str | None) -> Facets:
    """The prompts, models and nodes that occur, in all requests or in those of one principal."""
    columns = (request.c.prompt, request.c.model, request.c.node)
    mine = _indexed(HistoryFilter(principal=principal), "")
    rows = connection.execute(select(*columns).where(*mine).distinct()).all()
    prompts, models, nodes = (tuple(sorted({row[i] for row in rows} - {None})) for i in range(len(columns)))
    return Facets(prompts, models, nodes)


def _indexed(where: HistoryFilter, viewer: str) -> list[ColumnElement[bool]]:
    """The conditions that the indexes answer: all but the text."""
    wanted = {name: getattr(where, name) for name in ("principal", "prompt", "model", "node", "status")}
    fitting = [request.c[name] == storable(value) for name, value in wanted.items() if value is not None]
    if where.stars is not None:
        fitting.append(_rated(where.stars, viewer))
    return fitting


def _rated(stars: int, viewer: str) -> ColumnElement[bool]:
    mine = select(score.c.request_id).where(score.c.principal == storable(viewer))
    if stars == 0:
        return ~mine.where(score.c.request_id == request.c.id).exists()
    return request.c.id.in_(mine.where(score.c.stars == stars))


def _mentions(text: str, viewer: str, dialect: str) -> ColumnElement[bool]:
    """Whether a request, or the viewer's comment on it, holds `text`; its characters stand for themselves."""
    text = storable(text)
    in_json = json.dumps(text, ensure_ascii=False)[1:-1]  # as it stands inside a JSON string
    mine = and_(comment.c.request_id == request.c.id, comment.c.principal == storable(viewer))
    return or_(
        *(_holds(column, text, dialect) for column in (request.c.answer, request.c.input, request.c.error)),
        _holds(cast(request.c.variables, Text), in_json, dialect),
        select(comment.c.text).where(mine, _holds(comment.c.text, text, dialect)).exists(),
    )


def _holds(column: ColumnElement[str], text: str, dialect: str) -> ColumnElement[bool]:
    """Substring test without wildcards, ignoring case.

    SQLite's `lower` knows the letters of ASCII only; `fold` is our function, which knows all and is slower.
    """
    if dialect == "sqlite":
        folded = func.lower(column) if text.isascii() else func.fold(column)
        return func.instr(folded, text.casefold()) > 0
    return func.strpos(func.lower(column), func.lower(text)) > 0


def _keys(fitting: Sequence[ColumnElement[bool]]) -> Select[tuple[int, str]]:
    return select(request.c.created_at, request.c.id).where(*fitting).order_by(*_newest_first)


def _seen_by(viewer: str) -> Select[tuple[object, ...]]:
    """Requests with the viewer's own stars and comment."""
    viewer = storable(viewer)
    stars = and_(score.c.request_id == request.c.id, score.c.principal == viewer)
    text = and_(comment.c.request_id == request.c.id, comment.c.principal == viewer)
    columns = (request, score.c.stars.label("viewer_stars"), comment.c.text.label("viewer_comment"))
    return select(*columns).select_from(request.outerjoin(score, stars).outerjoin(comment, text))


def _attempts(connection: Connection, ids: Sequence[str]) -> dict[str, list[Attempt]]:
    rows = connection.execute(select(attempt).where(attempt.c.request_id.in_(ids)).order_by(attempt.c.number))
    found: dict[str, list[Attempt]] = {}
    for row in rows:
        found.setdefault(row.request_id, []).append(to_attempt(row._asdict()))
    return found
