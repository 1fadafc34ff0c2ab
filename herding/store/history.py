"""The history as people look it up: pages of it, single requests, sessions, and all of it at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial

from herding.store import queries
from herding.store.queries import Facets, Key, Window
from herding.store.reader import Reader
from herding.values import Entry, HistoryFilter, Outcome, Page

SEARCHED = 5_000
"""Requests that one read transaction looks through for a text; on a rollback journal, reads hold up commits."""


class HistoryStore:
    """The part of the store that looks up requests. All methods raise StoreError."""

    _reader: Reader

    async def entry(self, request_id: str, *, viewer: str, owner: str | None) -> Entry | None:
        """One request with the viewer's stars and comment; None if there is none, or not one of `owner`'s."""
        return await self._reader.run(lambda c: queries.find(c, request_id, viewer=viewer, owner=owner))

    async def history(self, where: HistoryFilter, *, viewer: str, offset: int, limit: int) -> Page:
        """A page of the history, newest first, with the exact total.

        Filters are answered from an index; a text is looked for in every request that fits the other filters.
        """
        offset, limit = max(0, offset), max(0, limit)
        if not where.text:
            return await self._reader.run(lambda c: queries.page(c, where, viewer=viewer, offset=offset, limit=limit))
        return await self._search(where, viewer=viewer, offset=offset, limit=limit)

    async def export(self, where: HistoryFilter, *, viewer: str) -> AsyncIterator[Entry]:
        """All fitting entries, newest first, in short reads: no transaction is open while the consumer works.

        What is written meanwhile is newer than the first entry and does not appear.
        """
        async for found in self._windows(where, viewer=viewer, size=queries.CHUNK):
            for entry in await self._load(found.keys, viewer=viewer):
                yield entry

    async def facets(self, *, principal: str | None) -> Facets:
        """The prompts, models and nodes that occur in all requests, or in those of one principal."""
        return await self._reader.run(lambda c: queries.facets(c, principal=principal))

    async def session(self, *, principal: str, session_id: str, limit: int) -> tuple[Outcome, ...]:
        """The latest `limit` succeeded requests of one session of a principal, oldest first."""
        limit = max(0, limit)
        return await self._reader.run(lambda c: queries.session(c, principal, session_id, limit=limit))

    async def _search(self, where: HistoryFilter, *, viewer: str, offset: int, limit: int) -> Page:
        total, wanted = 0, list[Key]()
        async for found in self._windows(where, viewer=viewer, size=SEARCHED):
            first = max(0, offset - total)
            wanted += found.keys[first : first + limit - len(wanted)]
            total += len(found.keys)
        return Page(tuple(await self._load(wanted, viewer=viewer)), total)

    async def _windows(self, where: HistoryFilter, *, viewer: str, size: int) -> AsyncIterator[Window]:
        found = Window([], None)
        while True:
            query = partial(queries.window, where=where, viewer=viewer, before=found.end, size=size)
            found = await self._reader.run(query)
            yield found
            if found.end is None:
                return

    async def _load(self, keys: Sequence[Key], *, viewer: str) -> list[Entry]:
        return await self._reader.run(lambda c: queries.load(c, [key.id for key in keys], viewer=viewer))
