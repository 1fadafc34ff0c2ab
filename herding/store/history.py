"""The history of requests: pages, single requests, sessions, and exports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Float, FromClause, Select, cast, func, select, tuple_

from herding.store import search
from herding.store.database import Reader
from herding.store.rows import storable, to_attempt, to_outcome
from herding.store.search import KEY, NEWEST_FIRST, Key
from herding.store.tables import attempt, comment, request, score
from herding.values import (
    Attempt,
    Entry,
    HistoryCount,
    HistoryFilter,
    HistoryPosition,
    HistorySlice,
    HistorySort,
    Outcome,
    Page,
    Score,
    SortName,
    StepEntry,
)

CHUNK = 500
"""Entries that one statement loads."""

COUNTED = 2_500
"""Requests that a search reads at least before it leaves off counting."""

SORTED = 5_000
"""Requests with a text that are sorted by anything else than their time."""

NEWEST = HistorySort()


@dataclass(frozen=True, slots=True)
class Facets:
    """The sorted choices of the history's filters."""

    prompts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


class _Slice(NamedTuple):
    """The matching requests of one slice of the history, newest first; the next slice is older than `end`."""

    keys: list[Key]
    end: Key | None


class HistoryStore:
    """The part of the store that looks up requests. All methods raise StoreError."""

    _reader: Reader

    async def entry(self, request_id: str, *, viewer: str, owner: str | None) -> Entry | None:
        """Return one request with its ratings; None if it is missing or not `owner`'s."""
        return await self._reader.run(lambda c: _find(c, request_id, viewer=viewer, owner=owner))

    async def history(self, where: HistoryFilter, *, viewer: str, offset: int, limit: int) -> Page:
        """Return a page of the history, newest first, with the total.

        Filters are answered from an index, with the exact total. A search for a text leaves off once the page is full
        and enough requests are read; the page then says that there may be `more` than its total.
        """
        offset, limit = max(0, offset), max(0, limit)
        if not where.text:
            return await self._reader.run(lambda c: _page(c, where, viewer=viewer, offset=offset, limit=limit))
        return await self._search(where, viewer=viewer, offset=offset, limit=limit)

    async def slice(
        self, where: HistoryFilter, *, viewer: str, sort: HistorySort, after: HistoryPosition | None, limit: int
    ) -> HistorySlice:
        """Return the next `limit` requests of a sorted history; no page before them is read.

        Of the requests with a text only the newest SORTED are sorted by anything else than their time.
        """
        cut, limit = False, max(0, limit)
        if not where.text:
            found = await self._reader.run(lambda c: _sorted(c, conditions(where), sort, after=after, size=limit + 1))
        elif sort == NEWEST:
            found = await self._newest_with_text(where, after=after, size=limit + 1)
        else:
            found, cut = await self._sorted_with_text(where, sort, after=after)
        shown = found[:limit]
        end = shown[-1] if shown and len(found) > limit else None
        entries = await self._load_entries([Key(position.created_at, position.id) for position in shown], viewer=viewer)
        return HistorySlice(tuple(entries), end, cut)

    async def count(self, where: HistoryFilter) -> HistoryCount:
        """Return the number of matching requests. A search for a text leaves off when enough requests are read."""
        if not where.text:
            counted = select(func.count()).select_from(request).where(*conditions(where))
            return HistoryCount(await self._reader.run(lambda c: c.execute(counted).scalar_one()))
        page = await self._search(where, viewer="", offset=0, limit=0)
        return HistoryCount(page.total, page.more)

    async def newer(self, where: HistoryFilter, *, than: tuple[int, str] | None, limit: int) -> int:
        """Return the number of matching requests that arrived after one, at most `limit`; None counts all."""
        fitting = conditions(where)
        if than is not None:
            fitting.append(tuple_(*than) < KEY)
        if not where.text:
            some = _keys(fitting).limit(limit).subquery()
            return await self._reader.run(lambda c: c.execute(select(func.count()).select_from(some)).scalar_one())
        return len(await self._matches(fitting, where.text, size=limit))

    async def export(self, where: HistoryFilter, *, viewer: str) -> AsyncIterator[Entry]:
        """Iterate over all matching entries, newest first, in short reads: no transaction stays open in between.

        Requests that are written meanwhile are newer than the first entry and do not appear.
        """
        async for keys in self._all_keys(where):
            for start in range(0, len(keys), CHUNK):
                for entry in await self._load_entries(keys[start : start + CHUNK], viewer=viewer):
                    yield entry

    async def unrated(self, where: HistoryFilter, *, viewer: str, limit: int) -> tuple[str, ...]:
        """Return the ids of the newest succeeded responses with a text that `viewer` has not rated."""
        limit = max(0, limit)
        return await self._reader.run(lambda c: _unrated(c, where, viewer=viewer, limit=limit))

    async def facets(self, *, principal: str | None) -> Facets:
        """Return the values of all requests, or of those of one principal."""
        return await self._reader.run(lambda c: _facets(c, principal=principal))

    async def session(self, *, principal: str, session_id: str, limit: int) -> tuple[Outcome, ...]:
        """Return the latest `limit` succeeded requests of one session of a principal, oldest first."""
        limit = max(0, limit)
        return await self._reader.run(lambda c: _session(c, principal, session_id, limit=limit))

    async def _search(self, where: HistoryFilter, *, viewer: str, offset: int, limit: int) -> Page:
        total, read, wanted, more = 0, 0, list[Key](), False
        async with aclosing(search.find(self._reader, conditions(where), where.text or "")) as parts:
            async for found in parts:
                first = max(0, offset - total)
                wanted += found.keys[first : first + limit - len(wanted)]
                total, read = total + len(found.keys), read + found.read
                if not found.last and total > offset + limit and read >= COUNTED:
                    more = True
                    break
        return Page(tuple(await self._load_entries(wanted, viewer=viewer)), total, more)

    async def _matches(self, fitting: Sequence[ColumnElement[bool]], text: str, *, size: int) -> list[Key]:
        """Return the newest `size` requests that contain a text."""
        keys: list[Key] = []
        async with aclosing(search.find(self._reader, fitting, text)) as parts:
            async for part in parts:
                keys += part.keys
                if len(keys) >= size:
                    break
        return keys[:size]

    async def _newest_with_text(
        self, where: HistoryFilter, *, after: HistoryPosition | None, size: int
    ) -> list[HistoryPosition]:
        fitting = conditions(where)
        if after is not None:
            fitting.append(tuple_(after.created_at, after.id) > KEY)
        keys = await self._matches(fitting, where.text or "", size=size)
        return [HistoryPosition(key.created_at, key.created_at, key.id) for key in keys]

    async def _sorted_with_text(
        self, where: HistoryFilter, sort: HistorySort, *, after: HistoryPosition | None
    ) -> tuple[list[HistoryPosition], bool]:
        """Return the newest SORTED requests with a text that come after a position, and whether there are more."""
        keys = await self._matches(conditions(where), where.text or "", size=SORTED + 1)
        ids, found = [key.id for key in keys[:SORTED]], list[HistoryPosition]()
        for start in range(0, len(ids), CHUNK):
            some = [request.c.id.in_(ids[start : start + CHUNK])]
            found += await self._reader.run(partial(_sorted, fitting=some, sort=sort, after=after, size=CHUNK))
        return sorted(found, reverse=not sort.ascending), len(keys) > SORTED

    async def _all_keys(self, where: HistoryFilter) -> AsyncIterator[list[Key]]:
        if where.text:
            async with aclosing(search.find(self._reader, conditions(where), where.text)) as parts:
                async for part in parts:
                    yield part.keys
            return
        found = _Slice([], None)
        while True:
            found = await self._reader.run(partial(_slice, where=where, before=found.end, size=CHUNK))
            yield found.keys
            if found.end is None:
                return

    async def _load_entries(self, keys: Sequence[Key], *, viewer: str) -> list[Entry]:
        return await self._reader.run(lambda c: _load(c, [key.id for key in keys], viewer=viewer))


def _find(connection: Connection, request_id: str, *, viewer: str, owner: str | None) -> Entry | None:
    """Return one request as `viewer` sees it; None if it is missing or not `owner`'s (None: any owner)."""
    found = _load(connection, [storable(request_id)], viewer=viewer)
    return found[0] if found and owner in (None, found[0].outcome.principal) else None


def _page(connection: Connection, where: HistoryFilter, *, viewer: str, offset: int, limit: int) -> Page:
    """Return a page of a history without a text filter; the total is exact."""
    fitting = conditions(where)
    total = connection.execute(select(func.count()).select_from(request).where(*fitting)).scalar_one()
    ids = select(request.c.id).where(*fitting).order_by(*NEWEST_FIRST).offset(offset).limit(limit)
    return Page(tuple(_load(connection, connection.execute(ids).scalars().all(), viewer=viewer)), total)


def _slice(connection: Connection, where: HistoryFilter, *, before: Key | None, size: int) -> _Slice:
    """Return the next `size` requests of a history without a text filter."""
    fitting = conditions(where)
    if before is not None:
        fitting.append(tuple_(*before) > KEY)
    keys = [Key(row.created_at, row.id) for row in connection.execute(_keys(fitting).limit(size))]
    return _Slice(keys, keys[-1] if len(keys) == size else None)


def _sorted(
    connection: Connection,
    fitting: Sequence[ColumnElement[bool]],
    sort: HistorySort,
    *,
    after: HistoryPosition | None,
    size: int,
) -> list[HistoryPosition]:
    """Return the next `size` positions of a sorted history without a text filter."""
    table, value = _sort_value(sort.by, last=_BEYOND if sort.ascending else -1)
    keys = [*KEY] if sort.by == "time" else [value, *KEY]
    wanted = list(fitting)
    if after is not None:
        place = after[1:] if sort.by == "time" else after
        wanted.append(tuple_(*keys) > tuple_(*place) if sort.ascending else tuple_(*keys) < tuple_(*place))
    order = [key.asc() if sort.ascending else key.desc() for key in keys]
    columns = (value.label("value"), request.c.created_at, request.c.id)
    rows = connection.execute(select(*columns).select_from(table).where(*wanted).order_by(*order).limit(size))
    return [HistoryPosition(*row) for row in rows]


def _sort_value(by: SortName, *, last: float) -> tuple[FromClause, ColumnElement[float]]:
    """Return the tables of a sorted history, and what it is sorted by; `last` stands for a missing value."""
    if by == "stars":
        mean = cast(func.avg(score.c.stars), Float).label("mean")
        means = select(score.c.request_id, mean).group_by(score.c.request_id).subquery()
        return request.outerjoin(means, means.c.request_id == request.c.id), func.coalesce(means.c.mean, last)
    columns: dict[SortName, ColumnElement[float]] = {
        "time": request.c.created_at,
        "latency": request.c.total_ms,
        "tokens": request.c.input_tokens + request.c.output_tokens,
        "cost": func.coalesce(request.c.cost, int(last)),
    }
    return request, columns[by]


_BEYOND = 2**62
"""Larger than any value that is sorted by."""


def _load(connection: Connection, ids: Sequence[str], *, viewer: str) -> list[Entry]:
    """Return the entries of `ids` in that order, without those that are gone."""
    found: dict[str, Entry] = {}
    for start in range(0, len(ids), CHUNK):
        some = ids[start : start + CHUNK]
        attempts, ratings = _attempts(connection, some), _ratings(connection, some)
        for row in connection.execute(select(request).where(request.c.id.in_(some))):
            outcome = to_outcome(row._asdict(), attempts.get(row.id, ()))
            found[row.id] = _entry(outcome, ratings.get(row.id, {}), storable(viewer))
    chains = [request_id for request_id, entry in found.items() if entry.outcome.kind == "chain"]
    for parent, children in _children(connection, chains).items():
        found[parent] = replace(found[parent], children=tuple(children))
    return [found[request_id] for request_id in ids if request_id in found]


def _session(connection: Connection, principal: str, session_id: str, *, limit: int) -> tuple[Outcome, ...]:
    """Return the latest succeeded requests of a session, oldest first."""
    here = (request.c.principal == storable(principal), request.c.session_id == storable(session_id))
    ids = select(request.c.id).where(*here, request.c.status == "succeeded").order_by(*NEWEST_FIRST).limit(limit)
    found = _load(connection, connection.execute(ids).scalars().all(), viewer=principal)
    return tuple(entry.outcome for entry in reversed(found))


def _unrated(connection: Connection, where: HistoryFilter, *, viewer: str, limit: int) -> tuple[str, ...]:
    """Return the newest responses without stars of `viewer`: an index in order of time finds them, up to the limit."""
    own = select(score.c.stars).where(score.c.request_id == request.c.id, score.c.principal == storable(viewer))
    listed = request.c.kind.not_in(("embeddings", "rerank", "step"))  # and of chains, the outermost
    fitting = [*conditions(where), request.c.status == "succeeded", listed, ~own.exists()]
    newest = _keys(fitting).limit(limit).subquery()
    written = (
        select(request.c.id)
        .join(newest, newest.c.id == request.c.id)
        .where(request.c.answer != "", request.c.parent.is_(None))
    )
    return tuple(connection.execute(written.order_by(*NEWEST_FIRST)).scalars())


def _facets(connection: Connection, *, principal: str | None) -> Facets:
    """Return the values of all requests, or of those of one principal."""
    columns = (request.c.prompt, request.c.model, request.c.node, request.c.kind, request.c.principal)
    mine = conditions(HistoryFilter(principal=principal))
    rows = connection.execute(select(*columns).where(*mine).distinct()).all()
    prompts, *others = (tuple(sorted({row[i] for row in rows} - {None})) for i in range(len(columns)))
    return Facets(tuple(prompt for prompt in prompts if prompt), *others)


_EQUAL = ("principal", "prompt", "model", "node", "status", "kind", "token", "version", "parent", "session_id")
"""Filters for one value of the column of that name."""


def conditions(where: HistoryFilter) -> list[ColumnElement[bool]]:
    """Return the conditions of a filter that the indexes answer: all but the text."""
    wanted = {name: value for name in _EQUAL if (value := getattr(where, name)) is not None}
    fitting = [request.c[name] == storable(value) for name, value in wanted.items()]
    if where.since is not None:
        fitting.append(request.c.created_at >= where.since)
    if where.until is not None:
        fitting.append(request.c.created_at < where.until)
    if where.steps is not None:
        fitting.append(request.c.parent.is_not(None) if where.steps else request.c.parent.is_(None))
    return [*fitting, *_rating_conditions(where)]


def _rating_conditions(where: HistoryFilter) -> Iterator[ColumnElement[bool]]:
    """Iterate over the conditions about stars and comments; those of all principals count."""
    given, written = score.c.request_id == request.c.id, comment.c.request_id == request.c.id
    rated = where.rated if where.stars != 0 else False
    if where.stars:
        yield request.c.id.in_(select(score.c.request_id).where(score.c.stars == where.stars))
    if rated is not None:
        found = select(score.c.stars).where(given).exists()
        yield found if rated else ~found
    if where.commented is not None:
        found = select(comment.c.principal).where(written).exists()
        yield found if where.commented else ~found
    if where.min_stars is not None or where.max_stars is not None:
        mean, means = func.avg(score.c.stars), select(score.c.request_id).group_by(score.c.request_id)
        if where.min_stars is not None:
            means = means.having(mean >= where.min_stars)
        if where.max_stars is not None:
            means = means.having(mean <= where.max_stars)
        yield request.c.id.in_(means)


def _keys(fitting: Sequence[ColumnElement[bool]]) -> Select[tuple[int, str]]:
    return select(request.c.created_at, request.c.id).where(*fitting).order_by(*NEWEST_FIRST)


def _entry(outcome: Outcome, ratings: Mapping[str, Score], viewer: str) -> Entry:
    """Return an entry as `viewer` sees it, with the ratings of all principals in the order of their last change."""
    own = ratings.get(viewer)
    ordered = tuple(sorted(ratings.values(), key=lambda rating: (rating.updated_at, rating.principal)))
    return Entry(outcome, own.stars if own else None, own.comment if own else None, ordered)


def _ratings(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, Score]]:
    """Return the stars and comments of requests, by request and principal."""
    found: dict[str, dict[str, Score]] = {}
    for row in connection.execute(select(score).where(score.c.request_id.in_(ids))):
        given = Score(row.request_id, row.principal, stars=row.stars, updated_at=row.updated_at)
        found.setdefault(row.request_id, {})[row.principal] = given
    for row in connection.execute(select(comment).where(comment.c.request_id.in_(ids))):
        of = found.setdefault(row.request_id, {})
        stars = of.get(row.principal, Score(row.request_id, row.principal))
        at = max(row.updated_at, stars.updated_at)
        of[row.principal] = replace(stars, comment=row.text, updated_at=at)
    return found


_CHILD = {
    **{name: request.c[name] for name in ("step", "kind", "prompt", "version", "status", "model", "node")},
    **{name: request.c[name] for name in ("input_tokens", "output_tokens", "cost", "total_ms", "checks_passed")},
    "request_id": request.c.id,
    "error": request.c.error,
}


def _children(connection: Connection, parents: Sequence[str]) -> dict[str, list[StepEntry]]:
    """Return the requests of the steps of chains, by chain, in the order in which they began."""
    columns = [column.label(name) for name, column in _CHILD.items()]
    found: dict[str, list[StepEntry]] = {}
    for start in range(0, len(parents), CHUNK):
        some = request.c.parent.in_(parents[start : start + CHUNK])
        for row in connection.execute(select(request.c.parent, *columns).where(some).order_by(request.c.id)):
            found.setdefault(row.parent, []).append(StepEntry(**{name: getattr(row, name) for name in _CHILD}))
    return found


def _attempts(connection: Connection, ids: Sequence[str]) -> dict[str, list[Attempt]]:
    rows = connection.execute(select(attempt).where(attempt.c.request_id.in_(ids)).order_by(attempt.c.number))
    found: dict[str, list[Attempt]] = {}
    for row in rows:
        found.setdefault(row.request_id, []).append(to_attempt(row._asdict()))
    return found
