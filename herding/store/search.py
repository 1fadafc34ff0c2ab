"""The search for a text in the history: exact, whatever the index knows already.

The newest requests are read one after the other, which finds a frequent text at once. A text that is rarer is looked
up in an index of trigrams, and found texts are compared with the whole text.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, func, literal, or_, select, text, tuple_

from herding.store import search_index
from herding.store.database import Reader
from herding.store.tables import request, search_queue, search_text

WALK = 2_500
"""Newest requests that are read before the index is asked, in one read transaction."""

FREQUENT = 500
"""A text that stands in one of so many requests is frequent: reading them finds a page of it before an index could."""

LONGEST_WALK = 40_000
"""Newest requests that are read in search of a frequent text before the index is asked after all."""

FEW = 10_000
"""Requests that are left of a filter and are read one after the other, since that is fast enough."""

CHUNK = 2_000
"""Documents that the index gives at once."""

TRIGRAMS = 12
"""Trigrams of a text that are looked up; more would not leave fewer documents."""

TERMS = 100
"""Trigrams that begin with a text of one or two characters; a text with more of them is frequent."""


class Key(NamedTuple):
    """The position of a request in the history, which is in descending order."""

    created_at: int
    id: str


@dataclass(frozen=True, slots=True)
class Found:
    """The next matching requests, newest first; `read` is the number that was looked at, `last` the end of all."""

    keys: list[Key]
    read: int
    last: bool = False


class _Slice(NamedTuple):
    """A part of the history; the next part is older than `end`."""

    keys: list[Key]
    end: Key | None


class _Plan(NamedTuple):
    """The query for the index. Without one the next requests are read, and if `final`, all others too."""

    query: str | None = None
    final: bool = False


class _Queued(NamedTuple):
    """Requests that are not in the index, or with old texts; `keys` are those that match."""

    ids: frozenset[str]
    keys: list[Key]


class _Documents(NamedTuple):
    """Matching requests of the index; the next documents have numbers below `upper`, None at the end."""

    keys: list[Key]
    upper: int | None


KEY = tuple_(request.c.created_at, request.c.id)
NEWEST_FIRST = (request.c.created_at.desc(), request.c.id.desc())


async def find(reader: Reader, fitting: Sequence[ColumnElement[bool]], wanted: str) -> AsyncGenerator[Found]:
    """Iterate over the requests that contain a text and meet conditions, newest first, in short reads.

    The text is literal; case is ignored. A request that still runs is found while it is one of the newest WALK.
    """
    needle, end, plan, count, read = search_index.fold(wanted), None, _Plan(), 0, 0
    while True:
        part = await reader.run(partial(_walk, fitting=fitting, needle=needle, before=end))
        yield Found(part.keys, WALK, last=part.end is None)
        end, count, read = part.end, count + len(part.keys), read + WALK
        if end is None:
            return
        if plan.final:
            continue
        frequent = count * FREQUENT >= read and read < LONGEST_WALK
        plan = await reader.run(partial(_plan, fitting=fitting, needle=needle, before=end, frequent=frequent))
        if plan.query is not None:
            break
    async for found in _find_older(reader, [*fitting, tuple_(*end) > KEY], needle, query=plan.query, before=end):
        yield found


async def _find_older(
    reader: Reader, fitting: Sequence[ColumnElement[bool]], needle: str, *, query: str, before: Key
) -> AsyncGenerator[Found]:
    """Iterate over what the index finds, with the requests that are still queued in their places."""
    queued = await reader.run(partial(_queued, fitting=fitting, needle=needle))
    waiting, last = queued.keys, before
    upper: int | None = search_index.after(before.created_at)
    while upper is not None:
        found = await reader.run(
            partial(_documents, fitting=fitting, needle=needle, query=query, upper=upper, before=last)
        )
        upper = found.upper
        keys = [key for key in found.keys if key.id not in queued.ids]
        last = found.keys[-1] if found.keys else last
        now = waiting if upper is None else [key for key in waiting if key > _oldest(found, upper)]
        waiting = waiting[len(now) :]
        yield Found(sorted([*keys, *now], reverse=True), CHUNK, last=upper is None)


def _oldest(found: _Documents, upper: int) -> Key:
    """Return a key that is older than all keys found, and not older than those that are still to be found."""
    return found.keys[-1] if upper == _BY_KEY else Key(search_index.begin(upper), "")


_BY_KEY = -1
"""Stands for a number where a database goes on by key."""


def _walk(connection: Connection, *, fitting: Sequence[ColumnElement[bool]], needle: str, before: Key | None) -> _Slice:
    """Read the next WALK requests that meet the conditions."""
    here = [*fitting] if before is None else [*fitting, tuple_(*before) > KEY]
    end = connection.execute(_keys(here).offset(WALK - 1).limit(1)).first()
    if end is not None:
        here.append(tuple_(*end) <= KEY)
    part = _keys(here).limit(WALK).subquery()  # the number is for PostgreSQL, which takes the range for a longer one
    changed = or_(search_text.c.doc.is_(None), search_queue.c.request_id.is_not(None))
    whole = part.outerjoin(search_text, search_text.c.request_id == part.c.id)
    whole = whole.outerjoin(search_queue, search_queue.c.request_id == part.c.id)
    rows = connection.execute(
        select(part.c.created_at, part.c.id, changed.label("changed"))
        .select_from(whole)
        .where(or_(changed, _contains(connection, needle)))
        .order_by(part.c.created_at.desc(), part.c.id.desc())
    ).all()
    right = _read(connection, [row.id for row in rows if row.changed], needle)
    keys = [Key(row.created_at, row.id) for row in rows if not row.changed or row.id in right]
    return _Slice(keys, Key(*end) if end else None)


def _read(connection: Connection, ids: Sequence[str], needle: str) -> set[str]:
    """Return those of the requests that contain a text, read from the requests themselves."""
    found: set[str] = set()
    for start in range(0, len(ids), CHUNK):
        documents = search_index.documents(connection, ids[start : start + CHUNK])
        found |= {request_id for request_id, (_, document) in documents.items() if needle in document}
    return found


def _plan(
    connection: Connection, *, fitting: Sequence[ColumnElement[bool]], needle: str, before: Key, frequent: bool
) -> _Plan:
    """Return how to go on: with the index, unless it has no answer, or so few requests are left that they are read."""
    if frequent and connection.dialect.name != "sqlite":  # PostgreSQL's index finds all before it gives the newest
        return _Plan()
    left = _keys([*fitting, tuple_(*before) > KEY]).order_by(None).limit(FEW + 1).subquery()
    if connection.execute(select(func.count()).select_from(left)).scalar_one() <= FEW:
        return _Plan(final=True)
    if not search_index.exists(connection):
        return _Plan(final=True)
    if connection.dialect.name != "sqlite":
        return _Plan(needle)
    if len(needle) >= 3:
        trigrams = list(dict.fromkeys(needle[start : start + 3] for start in range(len(needle) - 2)))
        step = max(1, len(trigrams) // TRIGRAMS)
        return _Plan(" AND ".join(map(_quote, trigrams[::step])))
    below = {"first": needle, "after": f"{needle}\U0010ffff", "most": TERMS + 1}
    query = text("SELECT term FROM search_terms WHERE term >= :first AND term < :after LIMIT :most")
    terms = list(connection.execute(query, below).scalars())
    if len(terms) > TERMS:
        return _Plan(final=True)
    return _Plan(" OR ".join(map(_quote, terms or [needle])))


def _quote(term: str) -> str:
    escaped = term.replace('"', '""')
    return f'"{escaped}"'


def _queued(connection: Connection, *, fitting: Sequence[ColumnElement[bool]], needle: str) -> _Queued:
    """Read the queued requests."""
    ids = list(connection.execute(select(search_queue.c.request_id)).scalars())
    keys: list[Key] = []
    # By their ids: a join in order of time would go through the whole history.
    for start in range(0, len(ids), CHUNK):
        some = request.c.id.in_(ids[start : start + CHUNK])
        found = select(request.c.created_at, request.c.id).where(some, *fitting)
        keys += [Key(row.created_at, row.id) for row in connection.execute(found)]
    right = _read(connection, [key.id for key in keys], needle)
    return _Queued(frozenset(ids), sorted((key for key in keys if key.id in right), reverse=True))


def _documents(
    connection: Connection,
    *,
    fitting: Sequence[ColumnElement[bool]],
    needle: str,
    query: str,
    upper: int,
    before: Key,
) -> _Documents:
    """Read the next matching requests of the index."""
    if connection.dialect.name != "sqlite":
        return _documents_by_key(connection, fitting=[*fitting, tuple_(*before) > KEY], needle=needle)
    numbers = _numbers(connection, query, upper)
    following = None
    if len(numbers) == CHUNK:
        following = search_index.start(numbers[-1])
        if following == search_index.start(numbers[0]):  # one minute: all of it, since a minute is not in order
            numbers = _numbers(connection, query, upper, lower=following)
        else:  # the last minute may have more
            following += search_index.BUCKET
            numbers = [number for number in numbers if number >= following]
    own = [*fitting, search_text.c.doc.in_(numbers), _contains(connection, needle)]
    return _Documents(sorted(_matching(connection, _with_texts(own)), reverse=True), following)


def _numbers(connection: Connection, query: str, upper: int, lower: int | None = None) -> list[int]:
    """Return the next documents below a number, or all of them from `lower` on."""
    most = CHUNK if lower is None else -1
    asked: dict[str, Any] = {"query": query, "upper": upper, "lower": lower or 0, "most": most}
    statement = text(
        "SELECT rowid FROM search_index WHERE search_index MATCH :query AND rowid < :upper AND rowid >= :lower "
        "ORDER BY rowid DESC LIMIT :most"
    )
    return list(connection.execute(statement, asked).scalars())


def _documents_by_key(connection: Connection, *, fitting: Sequence[ColumnElement[bool]], needle: str) -> _Documents:
    """Read the next CHUNK requests on PostgreSQL, which knows no order in its index of trigrams."""
    # Without this, estimates of how many texts match lead to plans that read all of them.
    if len(needle) >= 3:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
    pattern = "".join(f"\\{letter}" if letter in "\\%_" else letter for letter in needle)
    texts = select(search_text.c.request_id).where(search_text.c.text.like(f"%{pattern}%", escape="\\"))
    hits = texts.cte("hits").prefix_with("MATERIALIZED")
    query = select(request.c.created_at, request.c.id).join_from(hits, request, request.c.id == hits.c.request_id)
    keys = _matching(connection, query.where(*fitting).order_by(*NEWEST_FIRST).limit(CHUNK))
    return _Documents(keys, _BY_KEY if len(keys) == CHUNK else None)


def _with_texts(conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
    whole = search_text.join(request, request.c.id == search_text.c.request_id)
    keys = select(request.c.created_at, request.c.id).select_from(whole)
    return keys.where(*conditions)


def _matching(connection: Connection, query: Select[Any]) -> list[Key]:
    return [Key(row.created_at, row.id) for row in connection.execute(query)]


def _contains(connection: Connection, needle: str) -> ColumnElement[bool]:
    position = func.instr if connection.dialect.name == "sqlite" else func.strpos
    return position(search_text.c.text, literal(needle)) > 0


def _keys(conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
    return select(request.c.created_at, request.c.id).where(*conditions).order_by(*NEWEST_FIRST)
